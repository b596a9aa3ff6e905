package query

// Which queries cost the most over the life of the process. A dashboard that asks a cheap
// query a thousand times an hour is as interesting as one slow query, and is in no list
// of slow ones.

import (
	"cmp"
	"slices"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Costly is all runs of one query text of a tenant.
type Costly struct {
	Request
	Runs, Failed int
	Took         time.Duration // of all runs together
	Longest      time.Duration
	Usage        store.Usage // sums; PeakMemory is that of the greediest run
	Last         time.Time
}

const (
	maxCostly     = 500  // distinct queries that are remembered
	maxCostlyText = 4096 // bytes of a query text
)

type costlyKey struct {
	tenant         model.Tenant
	language, text string
}

// spent adds a run to the costs. The caller holds d.mu.
func (d *Door) spent(q *inFlight, st Stats, err error) {
	text := q.Text[:min(len(q.Text), maxCostlyText)]
	key := costlyKey{q.Tenant, q.Language, text}
	c := d.costly[key]
	if c == nil {
		if len(d.costly) == maxCostly {
			d.forgetCheapest()
		}
		c = &Costly{Request: Request{Tenant: q.Tenant, Language: q.Language, Text: text}}
		d.costly[key] = c
	}
	c.Runs++
	if err != nil {
		c.Failed++
	}
	c.Took += st.Run
	c.Longest = max(c.Longest, st.Run)
	c.Usage.BytesRead += st.BytesRead
	c.Usage.RowsScanned += st.RowsScanned
	c.Usage.RowsMatched += st.RowsMatched
	c.Usage.BlocksRead += st.BlocksRead
	c.Usage.BlocksSkipped += st.BlocksSkipped
	c.Usage.PeakMemory = max(c.Usage.PeakMemory, st.PeakMemory)
	c.Last = d.opts.Now()
}

// forgetCheapest makes room for a query that was not seen before. The caller holds d.mu.
func (d *Door) forgetCheapest() {
	var least costlyKey
	var took time.Duration = -1
	for k, c := range d.costly {
		if took < 0 || c.Took < took {
			least, took = k, c.Took
		}
	}
	delete(d.costly, least)
}

// Costly returns the n queries of tenant that took the most time in all, the costliest
// first.
func (d *Door) Costly(tenant model.Tenant, n int) []Costly {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := []Costly{}
	for k, c := range d.costly {
		if k.tenant == tenant {
			list = append(list, *c)
		}
	}
	slices.SortFunc(list, func(a, b Costly) int {
		return cmp.Or(-cmp.Compare(a.Took, b.Took), cmp.Compare(a.Language, b.Language), cmp.Compare(a.Text, b.Text))
	})
	return list[:min(n, len(list))]
}
