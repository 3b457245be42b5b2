package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"github.com/daybookhq/daybook/eventstore"
)

// TrafficStream holds how many webhooks came in each hour that a server ran: an
// event for each server and hour.
const TrafficStream = eventstore.Stream("traffic-main")

const trafficType = "TrafficCounted"

// What silence is measured by.
const (
	week = 7 * 24 * time.Hour
	// weeksCompared is how far back the traffic is compared, of which
	// weeksNeeded must be on record.
	weeksCompared = 4
	weeksNeeded   = 2
	// usual is the least that came in the same hours of every earlier week, for
	// their silence now to mean something.
	usual = 10
	// longestSilence bounds how far back a silence is followed.
	longestSilence = 3 * 24
)

// Traffic is the heartbeat of webhooks: how many came in each hour, compared
// with the same hours of the weeks before. It needs no key: a silence where there
// never was one says that webhooks are being lost, whatever the reason.
type Traffic struct {
	store eventstore.Store
	now   func() time.Time
	log   logrus.FieldLogger

	mu    sync.Mutex
	hours map[int64]uint64 // webhooks by hour since 1970, for hours on record, of all servers
}

// counted is the content of a TrafficCounted event.
type counted struct {
	Schema   int       `json:"schema"`
	Hour     time.Time `json:"hour"`
	Webhooks uint64    `json:"webhooks"`
}

// NewTraffic returns the traffic of a store, with nothing on record; Load reads
// what is.
func NewTraffic(store eventstore.Store, now func() time.Time, log logrus.FieldLogger) *Traffic {
	return &Traffic{store: store, now: now, log: log, hours: map[int64]uint64{}}
}

// maxLoaded bounds what Load reads: the hours that are compared, for a few servers.
const maxLoaded = 4 * int((weeksCompared*week+longestSilence*time.Hour)/time.Hour)

// Load reads the hours that are compared.
func (t *Traffic) Load(ctx context.Context) error {
	hours, oldest := map[int64]uint64{}, hourOf(t.now())-longestSilence-int64(weeksCompared*week/time.Hour)
	for e, err := range t.store.ReadStream(ctx, TrafficStream, eventstore.LastRevision, eventstore.Backwards, maxLoaded) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			break
		}
		var c counted
		if err == nil {
			err = json.Unmarshal(e.Data, &c)
		}
		if err != nil {
			return fmt.Errorf("read the traffic of earlier hours: %w", err)
		}
		if hourOf(c.Hour) < oldest {
			break
		}
		hours[hourOf(c.Hour)] += c.Webhooks
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hours = hours
	return nil
}

func hourOf(at time.Time) int64 { return at.Unix() / int64(time.Hour/time.Second) }

// othersNeed is how long the servers on one store are given to record an hour.
const othersNeed = time.Minute

// Run records at the end of each hour how many webhooks came in it, and looks
// whether that is unusually few, until ctx ends. received is how many came since
// the start.
func (t *Traffic) Run(ctx context.Context, received func() uint64) {
	before := received()
	for {
		hour := t.now().Truncate(time.Hour)
		if !pause(ctx, hour.Add(time.Hour).Sub(t.now())) {
			return
		}
		total := received()
		err := t.Count(ctx, hour, total-before)
		before = total
		if !pause(ctx, othersNeed) {
			return
		}
		if err = errors.Join(err, t.Load(ctx)); err != nil {
			t.log.WithError(err).Warn("webhooks could not be compared with earlier weeks")
		} else if alert := t.Silence(); alert != "" {
			t.log.Error(alert)
		}
	}
}

// pause waits, and reports false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Count records how many webhooks came to this server in an hour.
func (t *Traffic) Count(ctx context.Context, hour time.Time, webhooks uint64) error {
	if err := t.record(ctx, counted{Schema: 1, Hour: hour.UTC(), Webhooks: webhooks}); err != nil {
		return fmt.Errorf("record the traffic of an hour: %w", err)
	}
	return nil
}

func (t *Traffic) record(ctx context.Context, c counted) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	metadata, err := eventstore.EncodeMetadata(eventstore.Metadata{RecordedAt: t.now().UTC()})
	if err != nil {
		return err
	}
	_, err = t.store.Append(ctx, TrafficStream, eventstore.Any,
		eventstore.ProposedEvent{ID: uuid.New(), Type: trafficType, Data: data, Metadata: metadata})
	return err
}

// Silence is a sentence if no webhook came in the latest hours on record, though
// in the same hours of every earlier week there were some; else it is empty.
func (t *Traffic) Silence() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := hourOf(t.now()) - 1
	hours := int64(0)
	for ; hours < longestSilence; hours++ {
		if n, known := t.hours[last-hours]; !known || n > 0 {
			break
		}
	}
	if hours == 0 {
		return ""
	}
	least, weeks := t.earlier(last, hours)
	if weeks < weeksNeeded || least < usual {
		return ""
	}
	return fmt.Sprintf("no webhook came for %d hours, and in the same hours of each of the last %d weeks at least %d did: check the endpoint at Stripe, and what lies between", hours, weeks, least)
}

// earlier finds the least that came in the same hours of earlier weeks, and how
// many of these are on record in full.
func (t *Traffic) earlier(last, hours int64) (least uint64, weeks int) {
	for w := int64(1); w <= weeksCompared; w++ {
		sum, whole := uint64(0), true
		for h := range hours {
			n, known := t.hours[last-h-w*int64(week/time.Hour)]
			sum, whole = sum+n, whole && known
		}
		if !whole {
			continue
		}
		if weeks == 0 || sum < least {
			least = sum
		}
		weeks++
	}
	return least, weeks
}
