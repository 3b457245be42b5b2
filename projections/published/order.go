package published

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Order tells of two values of one key which is the newer. See the package's
// comment.
type Order struct {
	// Founded is when the store was founded whose log was folded. It is kept to
	// the millisecond.
	Founded time.Time
	// Position is the place up to which the log had been folded.
	Position uint64
	// At is the moment that was evaluated. It is kept to the microsecond.
	At time.Time
}

// The digits of an order.
const (
	foundedDigits  = 13
	positionDigits = 20
	atDigits       = 16
	orderDigits    = foundedDigits + positionDigits + atDigits
)

// String writes the order as its 49 digits. Times before 1970 count as 1970,
// those after 2286 as 2286.
func (o Order) String() string { return string(o.append(make([]byte, 0, orderDigits))) }

func (o Order) append(to []byte) []byte {
	to = appendDigits(to, clamp(o.Founded.UnixMilli(), 1e13-1), foundedDigits)
	to = appendDigits(to, o.Position, positionDigits)
	return appendDigits(to, clamp(o.At.UnixMicro(), 1e16-1), atDigits)
}

func clamp(n, most int64) uint64 { return uint64(max(0, min(n, most))) }

// appendDigits writes n with leading zeros.
func appendDigits(to []byte, n uint64, width int) []byte {
	at := len(to)
	to = append(to, "00000000000000000000"[:width]...)
	for i := at + width - 1; n > 0; i-- {
		to[i] = byte('0' + n%10)
		n /= 10
	}
	return to
}

// ParseOrder reads what String wrote.
func ParseOrder(text string) (Order, error) {
	if len(text) != orderDigits || strings.Trim(text, "0123456789") != "" {
		return Order{}, fmt.Errorf("an order wants %d digits", orderDigits)
	}
	founded, _ := strconv.ParseInt(text[:foundedDigits], 10, 64)
	position, err := strconv.ParseUint(text[foundedDigits:foundedDigits+positionDigits], 10, 64)
	at, _ := strconv.ParseInt(text[foundedDigits+positionDigits:], 10, 64)
	return Order{Founded: time.UnixMilli(founded).UTC(), Position: position, At: time.UnixMicro(at).UTC()}, err
}

// Compare returns -1 if o is the older, 1 if it is the newer, and 0 if neither.
func (o Order) Compare(other Order) int { return strings.Compare(o.String(), other.String()) }
