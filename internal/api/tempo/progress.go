package tempo

import (
	"context"
	"iter"
	"net/http"
	"sync"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
)

// A stream sends messages while its query runs, each with how far it is. A search adds the
// traces that have become certain: those of which all newer ones are known, too. A client
// adds what comes to what it has and cannot take a trace back, so no other ones are sent.
// Metrics queries add their series as they are so far, which later ones replace. The last
// message is the answer, whole.

// progressEvery is the least time between two messages of a stream before the answer, and
// progressShare the largest part of the time that is spent on them.
const (
	progressEvery = 250 * time.Millisecond
	progressShare = 0.1
)

// progressJobs is how many jobs a query is said to have: they are percent.
const progressJobs = 100

// progressTaker is an [http.ResponseWriter] that takes messages before the answer.
type progressTaker interface {
	takeProgress(message []byte) error
}

// reading returns the traces of tenants for a query whose answer goes to w, and the progress
// that it tells w of, or nil.
func (a *API) reading(w http.ResponseWriter, tenants []model.Tenant, acct *store.Account) (store.TraceReader, *progress) {
	r := a.over(tenants)
	to, ok := w.(progressTaker)
	if !ok {
		return r, nil
	}
	p := &progress{TraceReader: r, api: a, tenants: tenants, acct: acct, to: to, next: a.Now().Add(progressEvery)}
	return p, p
}

// progress sends messages while it reads. One query uses it.
type progress struct {
	store.TraceReader
	api     *API
	tenants []model.Tenant
	acct    *store.Account
	to      progressTaker
	next    time.Time    // when the next message may go
	traces  int          // read so far
	before  int64        // spans read before the scan
	all     func() int64 // spans that the scan reads, 0 if that cannot be told
	jobs    uint32       // completed, as the last message has it
}

// Scan implements [store.TraceReader]. Scans for some traces are too short to tell of; the
// others come one after the other.
func (p *progress) Scan(ctx context.Context, tenant model.Tenant, sel store.SpanSelector) iter.Seq2[*store.SpanRows, error] {
	if sel.TraceIDs != nil {
		return p.TraceReader.Scan(ctx, tenant, sel)
	}
	return func(yield func(*store.SpanRows, error) bool) {
		p.before = p.acct.Usage().RowsScanned
		p.all = sync.OnceValue(func() int64 { return p.spans(ctx, sel) })
		for rows, err := range p.TraceReader.Scan(ctx, tenant, sel) {
			if err == nil {
				p.count(rows)
			}
			if !yield(rows, err) || err != nil {
				return
			}
			if !p.due() {
				continue
			}
			if err := p.tell(func(message) {}); err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// due reports whether it is time for a message.
func (p *progress) due() bool { return !p.api.Now().Before(p.next) }

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

// tell sends a message with what write writes and how far the scan is.
func (p *progress) tell(write func(m message)) error {
	begin := p.api.Now()
	m := &protoMessage{}
	write(m)
	use := p.acct.Usage()
	if all := p.all(); all > 0 {
		share := min(1, float64(use.RowsScanned-p.before)/float64(all))
		p.jobs = max(p.jobs, uint32(share*(progressJobs-1))) // the last one is the answer
	}
	jobsMetrics(m, "metrics", query.Stats{Usage: use}, p.traces, p.jobs, progressJobs)
	err := p.to.takeProgress(m.b)
	now := p.api.Now()
	p.next = now.Add(max(progressEvery, time.Duration(float64(now.Sub(begin))/progressShare)))
	return err
}

// taking returns what takes results before the answer, writes them into messages and says
// when it is time to; nil if p is.
func taking[T any](p *progress, write func(m message, results []T)) (take func([]T) error, due func() bool) {
	if p == nil {
		return nil, nil
	}
	return func(results []T) error {
		return p.tell(func(m message) { write(m, results) })
	}, p.due
}
