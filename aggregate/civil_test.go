package aggregate

import (
	"testing"
	"time"
)

func TestDatesAreThoseOfPackageTime(t *testing.T) {
	for at := time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 10_000; at = at.AddDate(0, 0, 1) {
		year, month, day := at.Year(), int(at.Month()), at.Day()
		days, ok := unixDays(year, month, day)
		if !ok || int64(days)*86400 != at.Unix() {
			t.Fatalf("%s: %d days, %v", at.Format(time.DateOnly), days, ok)
		}
		if days < 0 {
			continue
		}
		if y, m, d := dateOf(days); y != year || m != month || d != day {
			t.Fatalf("%s is taken for %d-%d-%d", at.Format(time.DateOnly), y, m, d)
		}
	}
}

func TestSecondsAreWrittenAsPackageTimeDoes(t *testing.T) {
	for _, seconds := range []int64{firstSecond, 1, 59, 60, 3599, 3600, 86399, 86400, 951782400, 1772366400, lastSecond} {
		want := time.Unix(seconds, 0).UTC().Format(`"` + time.RFC3339Nano + `"`)
		if got := string(appendSecond(nil, seconds)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
