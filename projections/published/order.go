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

// The digits of an order, to the base of 36: with a to z for 10 to 35, text is
// ordered as numbers are, and is short.
const (
	foundedDigits  = 9
	positionDigits = 13
	atDigits       = 11
	orderDigits    = foundedDigits + positionDigits + atDigits
	base           = 36
	digits         = "0123456789abcdefghijklmnopqrstuvwxyz"
)

// String writes the order as its 33 digits. Times before 1970 count as 1970.
func (o Order) String() string { return string(o.append(make([]byte, 0, orderDigits))) }

func (o Order) append(to []byte) []byte {
	to = appendDigits(to, uint64(max(o.Founded.UnixMilli(), 0)), foundedDigits)
	to = appendDigits(to, o.Position, positionDigits)
	return appendDigits(to, uint64(max(o.At.UnixMicro(), 0)), atDigits)
}

// appendDigits writes n with leading zeros. The years up to 5000 have room.
func appendDigits(to []byte, n uint64, width int) []byte {
	at := len(to)
	to = append(to, "0000000000000"[:width]...)
	for i := at + width - 1; i >= at; i-- {
		to[i] = digits[n%base]
		n /= base
	}
	return to
}

// ParseOrder reads what String wrote.
func ParseOrder(text string) (Order, error) {
	if len(text) != orderDigits || strings.Trim(text, digits) != "" {
		return Order{}, fmt.Errorf("an order wants %d digits to the base of %d", orderDigits, base)
	}
	founded, _ := strconv.ParseInt(text[:foundedDigits], base, 64)
	position, err := strconv.ParseUint(text[foundedDigits:foundedDigits+positionDigits], base, 64)
	at, _ := strconv.ParseInt(text[foundedDigits+positionDigits:], base, 64)
	return Order{Founded: time.UnixMilli(founded).UTC(), Position: position, At: time.UnixMicro(at).UTC()}, err
}

// Compare returns -1 if o is the older, 1 if it is the newer, and 0 if neither.
func (o Order) Compare(other Order) int { return strings.Compare(o.String(), other.String()) }
