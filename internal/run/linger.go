package run

import (
	"context"
	"time"
)

// Linger returns a context that outlives ctx by d: for work that is worth finishing when
// the process stops, but not worth waiting for long. Call cancel when it is not needed any
// more.
func Linger(ctx context.Context, d time.Duration) (lingering context.Context, cancel context.CancelFunc) {
	lingering, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, end) })
	return lingering, func() { stop(); end() }
}
