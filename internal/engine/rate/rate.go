// Package rate is the token bucket that stores bound what a tenant or stream may send by.
// It is a value of two words, since there may be one for each of many streams, and it has
// no lock and no clock of its own.
package rate

import "time"

// Bucket is a token bucket of bytes. The zero Bucket is full.
type Bucket struct {
	spent float64 // of the burst
	last  int64   // Unix nanoseconds
}

// Take takes n bytes out of a bucket that holds burst and fills with rate a second: all
// of them, or none and returns false.
func (b *Bucket) Take(n, rate, burst int, now time.Time) bool {
	at := now.UnixNano()
	if at > b.last {
		b.spent = max(0, b.spent-float64(at-b.last)/float64(time.Second)*float64(rate))
		b.last = at
	}
	if b.spent+float64(n) > float64(burst) {
		return false
	}
	b.spent += float64(n)
	return true
}
