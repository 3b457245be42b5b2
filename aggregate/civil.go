package aggregate

import "time"

// Dates are counted in days from 1970-01-01, in a small part of the time that
// package time takes. A year that begins in March has its leap day at the end,
// and month lengths that repeat every five months.

// epochDay is 1970-01-01, counted from March 1st of the year 0.
const epochDay = 719468

// The days of 400, 100 and 4 years, with the leap days in them.
const (
	days400 = 146097
	days100 = 36524
	days4   = 1461
)

// unixDays counts the days to a date, and reports whether there is such a date.
// It knows the years from 1600 on.
func unixDays(year, month, day int) (int, bool) {
	if year < 1600 || month < 1 || month > 12 || day < 1 || day > 31 || day > 28 && !monthHas(year, month, day) {
		return 0, false
	}
	if month -= 3; month < 0 {
		month += 12
		year--
	}
	return 365*year + year/4 - year/100 + year/400 + (153*month+2)/5 + day - 1 - epochDay, true
}

func monthHas(year, month, day int) bool {
	return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Day() == day
}

// dateOf is the date of a day from 1970-01-01 on.
func dateOf(days int) (year, month, day int) {
	days += epochDay
	year, days = 400*(days/days400), days%days400
	century := min(days/days100, 3) // the last one has a day more
	year, days = year+100*century, days-century*days100
	year, days = year+4*(days/days4), days%days4
	ofFour := min(days/365, 3)
	year, days = year+ofFour, days-ofFour*365
	month = (5*days + 2) / 153
	day = days - (153*month+2)/5 + 1
	if month += 3; month > 12 {
		return year + 1, month - 12, day
	}
	return year, month, day
}
