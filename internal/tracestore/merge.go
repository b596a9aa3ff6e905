package tracestore

import (
	"cmp"
	"slices"

	"github.com/pharos-o11y/pharos/internal/model"
)

// A part's groups are cut at about groupRows spans, between traces if the trace is not
// bigger than maxGroupRows.
const (
	groupRows    = 8 << 10
	maxGroupRows = 64 << 10
	maxChildren  = 1 << 20 // events and links after which a group is cut, too
)

// stream yields the groups of one source in order of trace id; nil ends it.
type stream func() (*group, error)

func streamOf(gs ...*group) stream {
	return func() (*group, error) {
		if len(gs) == 0 {
			return nil, nil
		}
		g := gs[0]
		gs = gs[1:]
		return g, nil
	}
}

// merger merges streams, oldest first, and hands groups of about size rows to emit. Of
// equal spans that of the oldest stream stays.
type merger struct {
	in   []*mergeInput
	size int
	emit func(*group) error
	stop func() error                      // asked between traces; nil never stops
	keep func(model.TraceID) (bool, error) // asked in ascending order; nil keeps all
	pool *builders
	b    *builder // from pool

	segs  []*segment // reused
	picks []pick     // reused
}

type mergeInput struct {
	next stream
	cur  *segment // nil at the end
	t    int      // index of the trace to merge next
}

// segment is a group and what copies it.
type segment struct {
	g *group
	c *copier
}

// advance makes the next trace current.
func (in *mergeInput) advance() error {
	for in.t++; in.cur == nil || in.t >= len(in.cur.g.traces); {
		g, err := in.next()
		if err != nil {
			return err
		}
		if g == nil {
			in.cur = nil
			return nil
		}
		in.cur, in.t = &segment{g: g}, 0
	}
	return nil
}

func (in *mergeInput) trace() model.TraceID { return in.cur.g.traces[in.t] }

// mergeGroups merges complete groups into one.
func mergeGroups(gs []*group, pool *builders) (*group, error) {
	var out *group
	m := &merger{size: 1 << 30, pool: pool, emit: func(g *group) error { out = g; return nil }}
	for _, g := range gs {
		m.in = append(m.in, &mergeInput{next: streamOf(g)})
	}
	err := m.run()
	return out, err
}

func (m *merger) run() error {
	m.b = m.pool.get()
	if err := m.all(); err != nil {
		return err
	}
	m.pool.put(m.b)
	return nil
}

func (m *merger) all() error {
	for _, in := range m.in {
		if err := in.advance(); err != nil {
			return err
		}
	}
	for {
		id, ok := m.least()
		if !ok {
			return m.flush()
		}
		if err := m.one(id); err != nil {
			return err
		}
		if m.stop == nil {
			continue
		}
		if err := m.stop(); err != nil {
			return err
		}
	}
}

// one merges a trace, or leaves it out.
func (m *merger) one(id model.TraceID) error {
	keep := true
	if m.keep != nil {
		var err error
		if keep, err = m.keep(id); err != nil {
			return err
		}
	}
	if keep {
		return m.trace(id)
	}
	for _, in := range m.in {
		for in.cur != nil && in.trace() == id {
			if err := in.advance(); err != nil {
				return err
			}
		}
	}
	return nil
}

// least returns the smallest current trace id.
func (m *merger) least() (id model.TraceID, ok bool) {
	for _, in := range m.in {
		if in.cur != nil && (!ok || in.trace().Compare(id) < 0) {
			id, ok = in.trace(), true
		}
	}
	return id, ok
}

// trace merges one trace from all inputs that have it. In one input it may go on over
// several groups.
func (m *merger) trace(id model.TraceID) error {
	if m.b.len() >= m.size || m.size < maxGroupRows && m.b.children() >= maxChildren {
		if err := m.flush(); err != nil {
			return err
		}
	}
	segs, picks := m.segs[:0], m.picks[:0]
	for _, in := range m.in {
		for in.cur != nil && in.trace() == id {
			g := in.cur.g
			from, to := g.run(in.t)
			for i := from; i < to; i++ {
				picks = append(picks, pick{intAt(g.ints[iStart], i), g.spanID[i], intAt(g.ints[iKind], i), int32(len(segs)), int32(i)})
			}
			segs = append(segs, in.cur)
			if err := in.advance(); err != nil {
				return err
			}
		}
	}
	m.segs, m.picks = segs, picks
	if len(segs) > 1 {
		picks = dropDuplicates(picks)
		slices.SortFunc(picks, comparePicks)
	}
	return m.copy(id, segs, picks)
}

func (m *merger) copy(id model.TraceID, segs []*segment, picks []pick) error {
	for _, p := range picks {
		s := segs[p.in]
		switch {
		case s.c == nil:
			s.c = newCopier(s.g, m.b)
		case !s.c.bound(m.b):
			s.c.bind(m.b)
		}
		s.c.row(id, int(p.row))
		if m.size < maxGroupRows && (m.b.len() >= maxGroupRows || m.b.children() >= maxChildren) {
			if err := m.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *merger) flush() error {
	if m.b.len() == 0 {
		return nil
	}
	return m.emit(m.b.finish())
}

// pick is a span of one of several inputs.
type pick struct {
	start int64
	id    model.SpanID
	kind  int64
	in    int32
	row   int32
}

func comparePicks(a, b pick) int {
	if a.start != b.start {
		return cmp.Compare(a.start, b.start)
	}
	if c := slices.Compare(a.id[:], b.id[:]); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.in, b.in), cmp.Compare(a.row, b.row))
}

// identity is what makes two spans of a trace the same.
type identity struct {
	id   model.SpanID
	kind int64
}

// dropDuplicates keeps the first of equal spans.
func dropDuplicates(picks []pick) []pick {
	seen := make(map[identity]struct{}, len(picks))
	return slices.DeleteFunc(picks, func(p pick) bool {
		key := identity{p.id, p.kind}
		if _, ok := seen[key]; ok {
			return true
		}
		seen[key] = struct{}{}
		return false
	})
}
