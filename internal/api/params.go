package api

import (
	"math"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
)

// ParseTime reads a time as the Prometheus and Tempo APIs take it: Unix seconds, with
// decimals if need be, or RFC 3339.
func ParseTime(s string) (time.Time, error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		sec, frac := math.Modf(f)
		if math.IsNaN(f) || math.Abs(sec) > float64(math.MaxInt64/int64(time.Second)) {
			return time.Time{}, Invalid("time %q is out of range", s)
		}
		return time.Unix(int64(sec), int64(math.Round(frac*1000))*int64(time.Millisecond)).UTC(), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	return time.Time{}, Invalid("cannot parse time %q: want Unix seconds or RFC 3339", s)
}

// ParseDuration reads a duration as the Prometheus API takes it: seconds, with decimals
// if need be, or a text such as 1h30m.
func ParseDuration(s string) (time.Duration, error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		ns := f * float64(time.Second)
		if math.IsNaN(ns) || math.Abs(ns) > math.MaxInt64 {
			return 0, Invalid("duration %q is out of range", s)
		}
		return time.Duration(ns), nil
	}
	if d, err := model.ParseDuration(s); err == nil {
		return time.Duration(d), nil
	}
	return 0, Invalid("cannot parse duration %q: want seconds or a text such as 5m", s)
}

// AppendThousandths writes n/1000, such as a time in milliseconds as seconds, with as few
// decimals as needed.
func AppendThousandths(b []byte, n int64) []byte {
	if n < 0 {
		b = append(b, '-')
		n = -n
	}
	b = strconv.AppendInt(b, n/1000, 10)
	if frac := n % 1000; frac != 0 {
		b = append(b, '.', byte('0'+frac/100))
		if frac%100 != 0 {
			b = append(b, byte('0'+frac/10%10))
		}
		if frac%10 != 0 {
			b = append(b, byte('0'+frac%10))
		}
	}
	return b
}
