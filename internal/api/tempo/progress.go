package tempo

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
)

// A stream tells how far its query is while it runs: messages with nothing but metrics.
// Traces and series come when they are final. A client adds what comes to what it has and
// cannot take a trace back, while a search reads traces in the order of their ids and
// until its end any of them may make room for a newer one.

// progressEvery is the time between two messages of progress.
const progressEvery = 250 * time.Millisecond

// progressJobs is how many jobs a query is said to have: they are percent.
const progressJobs = 100

// progressTaker is an [http.ResponseWriter] that takes messages before the answer.
type progressTaker interface {
	takeProgress(message []byte) error
}

// reading returns the traces of tenants for a query whose answer goes to w.
func (a *API) reading(w http.ResponseWriter, tenants []model.Tenant, acct *store.Account) store.TraceReader {
	r := a.over(tenants)
	if to, ok := w.(progressTaker); ok {
		return &progress{TraceReader: r, api: a, tenants: tenants, acct: acct, to: to, last: a.Now()}
	}
	return r
}

// progress sends messages while it reads. One query uses it, one scan at a time.
type progress struct {
	store.TraceReader
	api     *API
	tenants []model.Tenant
	acct    *store.Account
	to      progressTaker
	last    time.Time // of the last message, or the start
	traces  int       // read so far
	jobs    uint32    // completed, as the last message has it
}

// Scan implements [store.TraceReader].
func (p *progress) Scan(ctx context.Context, tenant model.Tenant, sel store.SpanSelector) iter.Seq2[*store.SpanRows, error] {
	return func(yield func(*store.SpanRows, error) bool) {
		before, all := p.acct.Usage().RowsScanned, int64(-1)
		for rows, err := range p.TraceReader.Scan(ctx, tenant, sel) {
			if err == nil {
				p.count(rows)
			}
			if now := p.api.Now(); err == nil && now.Sub(p.last) >= progressEvery {
				p.last = now
				if all < 0 {
					all = p.spans(ctx, sel)
				}
				err = p.tell(before, all)
			}
			if !yield(rows, err) || err != nil {
				return
			}
		}
	}
}

// count counts the traces of rows.
func (p *progress) count(rows *store.SpanRows) {
	for i, id := range rows.TraceID {
		if i == 0 || id != rows.TraceID[i-1] {
			p.traces++
		}
	}
}

// spans returns how many spans a scan of sel reads, 0 if that cannot be told.
func (p *progress) spans(ctx context.Context, sel store.SpanSelector) int64 {
	sum := int64(0)
	for _, t := range p.tenants {
		price, err := p.api.Index.Price(ctx, t, sel)
		if err != nil {
			return 0
		}
		sum += price.Spans
	}
	return sum
}

// tell sends a message in a scan of all spans that began when before spans had been read.
func (p *progress) tell(before, all int64) error {
	use := p.acct.Usage()
	if all > 0 {
		share := min(1, float64(use.RowsScanned-before)/float64(all))
		p.jobs = max(p.jobs, uint32(share*(progressJobs-1))) // the last one is the answer
	}
	m := &protoMessage{}
	jobsMetrics(m, "metrics", query.Stats{Usage: use}, p.traces, p.jobs, progressJobs)
	return p.to.takeProgress(m.b)
}
