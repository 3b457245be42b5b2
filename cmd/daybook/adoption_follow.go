package main

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/daybookhq/daybook/eventstore"
)

// This file holds how a node learns what other nodes of its store have recorded
// of catalogs and prices. The projection, which follows the log, tells it when to
// look.

// look says that the stream has got as far as a revision at least.
func (b *catalogBook) look(at eventstore.Revision) {
	for told := b.told.Load(); told <= uint64(at); told = b.told.Load() {
		b.told.CompareAndSwap(told, uint64(at)+1)
	}
	b.again()
}

func (b *catalogBook) again() {
	select {
	case b.news <- struct{}{}:
	default: // it is known
	}
}

// lookEvery is how often the stream is read that cannot be read, or is not yet,
// on a node that lags, what it was said to be.
const lookEvery = time.Second

// follow reads the history again whenever it may have grown, until ctx ends: the
// nodes of one store decide by the same catalogs.
func (b *catalogBook) follow(ctx context.Context, log logrus.FieldLogger) {
	for {
		select {
		case <-b.news:
		case <-ctx.Done():
			return
		}
		if _, err := b.load(ctx); err != nil {
			if ctx.Err() != nil {
				return // it was cut short
			}
			log.WithError(err).Warn("the catalogs could not be read again")
			time.AfterFunc(lookEvery, b.again)
			continue
		}
		if b.notice(log) < b.told.Load() {
			time.AfterFunc(lookEvery, b.again)
		}
	}
}

// notice tells of a catalog that another node has put in force. It returns how
// many events the history is made of.
func (b *catalogBook) notice(log logrus.FieldLogger) uint64 {
	b.writing.Lock()
	defer b.writing.Unlock()
	hash := b.History().CurrentHash()
	if hash == b.noticed {
		return b.events
	}
	b.noticed = hash
	log = log.WithField("catalog", hash)
	if b.configured == "" || hash == b.configured {
		log.Info("another node has adopted a catalog")
	} else {
		log.WithField("configured", b.configured).Warn("another node has adopted another catalog than this node's: configure the same one on all")
	}
	return b.events
}
