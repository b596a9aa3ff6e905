package main

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"golang.org/x/sync/errgroup"
)

// progress counts what the senders of a workload have sent.
type progress struct{ items, bytes atomic.Int64 }

func (p *progress) add(items, bytes int) {
	p.items.Add(int64(items))
	p.bytes.Add(int64(bytes))
}

// spread runs send for each of n senders at once, w counting them, and returns how many items
// and bytes they have sent together.
func spread(ctx context.Context, n int, send func(ctx context.Context, w int, sent *progress) error) (items int, bytes int64, err error) {
	var sent progress
	g, ctx := errgroup.WithContext(ctx)
	for w := range n {
		g.Go(func() error { return send(ctx, w, &sent) })
	}
	err = g.Wait()
	return int(sent.items.Load()), sent.bytes.Load(), err
}

// exportEach is spread for a workload of numbered requests, each of which export makes and
// sends.
func exportEach(ctx context.Context, c config, requests int, export func(ctx context.Context, n int, sent *progress) error) (items int, bytes int64, err error) {
	return spread(ctx, c.senders, func(ctx context.Context, w int, sent *progress) error {
		for n := w; n < requests; n += c.senders {
			if err := export(ctx, n, sent); err != nil {
				return err
			}
		}
		return nil
	})
}

// putResource describes a service instance on a host as SDKs do.
func putResource(a pcommon.Map, service, instance, host string) {
	a.PutStr("service.name", service)
	a.PutStr("service.instance.id", instance)
	a.PutStr("service.version", "1.4.2")
	a.PutStr("host.name", host)
	a.PutStr("deployment.environment.name", "production")
}
