package tracestore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// snapshot is all spans of a tenant at one moment.
type snapshot struct {
	view *part.View[*partIndex]
	mem  []*group // newer than the parts
}

// snapshot takes one. Spans that move from memory to a part in between are in both, and
// readers drop duplicates. Damage within r is a warning.
func (s *Store) snapshot(tenant model.Tenant, r model.TimeRange, acct *store.Account) *snapshot {
	s.mu.Lock()
	var mem []*group
	if s.sealed != nil {
		mem = s.sealed.of(tenant)
	}
	mem = append(mem, s.head.of(tenant)...)
	lost := s.lost
	s.mu.Unlock()
	near := s.parts.View(tenant, r)
	for _, w := range near.Warnings() {
		acct.Warn("%s", w)
	}
	near.Close()
	for _, w := range append(lost[:len(lost):len(lost)], s.log.Lost()...) {
		acct.Warn("%s", w)
	}
	return &snapshot{view: s.parts.View(tenant, allTime()), mem: mem}
}

func (s *snapshot) close() { s.view.Close() }

func allTime() model.TimeRange { return model.TimeRange{From: math.MinInt64, To: math.MaxInt64} }

// Trace implements [store.TraceReader]. It looks into every part: an index entry in
// memory and a filter tell nearly always whether a group has the trace. The hint is not
// needed.
func (s *Store) Trace(ctx context.Context, tenant model.Tenant, id model.TraceID, _ model.TimeRange, acct *store.Account) (ptrace.Traces, error) {
	s.metrics.traces.Inc()
	if err := ctx.Err(); err != nil {
		return ptrace.NewTraces(), err
	}
	snap := s.snapshot(tenant, allTime(), acct)
	defer snap.close()
	t := traceParts{}
	defer func() {
		acct.Drop(t.held)
		for _, g := range t.groups {
			s.scratch.put(g)
		}
	}()
	for _, p := range snap.view.Parts {
		if err := ctx.Err(); err != nil {
			return ptrace.NewTraces(), err
		}
		if err := s.findInPart(p, id, acct, &t); err != nil {
			return ptrace.NewTraces(), fmt.Errorf("read trace %s: %w", id, err)
		}
	}
	for _, g := range snap.mem {
		if i, ok := g.find(id); ok {
			if err := acct.Scanned(g.size(), int64(g.len())); err != nil {
				return ptrace.NewTraces(), fmt.Errorf("read trace %s: %w", id, err)
			}
			t.add(g, i)
		}
	}
	if len(t.picks) == 0 {
		return ptrace.NewTraces(), fmt.Errorf("read trace %s: %w", id, store.ErrNotFound)
	}
	if len(t.groups) > 1 {
		t.picks = dropDuplicates(t.picks)
		slices.SortFunc(t.picks, comparePicks)
	}
	acct.Matched(int64(len(t.picks)))
	return t.assemble(id), nil
}

// find returns the index of trace id among the traces of g.
func (g *group) find(id model.TraceID) (int, bool) {
	return slices.BinarySearchFunc(g.traces, id, model.TraceID.Compare)
}

// traceParts gathers the spans of one trace.
type traceParts struct {
	groups []*group
	picks  []pick
	held   int64 // bytes charged
}

// decodedRatio is about how many times as big as its sections a group is in memory.
const decodedRatio = 4

// add takes the spans of trace t of g.
func (p *traceParts) add(g *group, t int) {
	from, to := g.run(t)
	for i := from; i < to; i++ {
		p.picks = append(p.picks, pick{intAt(g.ints[iStart], i), g.spanID[i], intAt(g.ints[iKind], i), int32(len(p.groups)), int32(i)})
	}
	p.groups = append(p.groups, g)
}

// findInPart adds the spans of trace id in p. Damaged groups are reported and skipped.
func (s *Store) findInPart(p *openPart, id model.TraceID, acct *store.Account, t *traceParts) error {
	for _, r := range p.Data.runs {
		if err := s.findInRun(p, r, id, acct, t); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) findInRun(p *openPart, r run, id model.TraceID, acct *store.Account, t *traceParts) error {
	groups := p.Data.groups
	i := r.from + sort.Search(r.to-r.from, func(i int) bool { return groups[r.from+i].last.Compare(id) >= 0 })
	for ; i < r.to && groups[i].first.Compare(id) <= 0; i++ {
		g, at, err := s.findInGroup(p, i, id)
		if errors.Is(err, store.ErrCorrupt) {
			reportDamage(p, i, err)
			acct.Warn("part %s has damaged blocks: some spans are missing", p.Name())
			continue
		}
		if err != nil {
			return err
		}
		if g == nil {
			acct.Skipped(1)
			continue
		}
		if err := acct.Scanned(g.src.bytes, int64(g.len())); err != nil {
			return err
		}
		if err := acct.Hold(decodedRatio * g.src.bytes); err != nil {
			return err
		}
		t.held += decodedRatio * g.src.bytes
		t.add(g, at)
	}
	return nil
}

// findInGroup returns group i of p, with what there is of trace id, if it has any.
func (s *Store) findInGroup(p *openPart, i int, id model.TraceID) (*group, int, error) {
	f, err := openPartFilter(p, i)
	if err != nil || f != nil && !f.Contains(idHash(id)) {
		return nil, 0, err
	}
	g, err := openPartGroup(p, i, s.z, s.scratch.get())
	if err == nil {
		err = g.need(secIDs)
	}
	if err == nil {
		if at, ok := g.find(id); ok {
			from, to := g.run(at)
			return g, at, g.needRows(from, to)
		}
	}
	s.scratch.put(g)
	return nil, 0, err
}

// assemble makes OTLP data of the picked spans.
func (p *traceParts) assemble(id model.TraceID) ptrace.Traces {
	out := ptrace.NewTraces()
	res := newResources()
	resources := map[string]ptrace.ResourceSpans{}
	scopes := map[[2]string]ptrace.ScopeSpans{}
	readers := make([]*spanReader, len(p.groups))
	for _, k := range p.picks {
		if readers[k.in] == nil {
			readers[k.in] = newSpanReader(p.groups[k.in])
		}
		g := p.groups[k.in]
		rk, sk := g.strs[sRes].at(int(k.row)), g.strs[sScope].at(int(k.row))
		rs, ok := resources[rk]
		if !ok {
			rs = out.ResourceSpans().AppendEmpty()
			from := res.resource(rk).rs
			from.Resource().CopyTo(rs.Resource())
			rs.SetSchemaUrl(from.SchemaUrl())
			resources[rk] = rs
		}
		ss, ok := scopes[[2]string{rk, sk}]
		if !ok {
			ss = rs.ScopeSpans().AppendEmpty()
			from := res.scope(sk).ss
			from.Scope().CopyTo(ss.Scope())
			ss.SetSchemaUrl(from.SchemaUrl())
			scopes[[2]string{rk, sk}] = ss
		}
		readers[k.in].read(id, int(k.row), ss.Spans().AppendEmpty())
	}
	return out
}

// spanReader makes OTLP spans of rows of a group, in ascending order. Their sections are
// there.
type spanReader struct {
	g       *group
	events  []int32
	links   []int32
	cursors [numDomains]attrCursor
}

func newSpanReader(g *group) *spanReader {
	r := &spanReader{g: g, events: childEnds(g.ints[iEvents], g.len()), links: childEnds(g.ints[iLinks], g.len())}
	for d := range r.cursors {
		r.cursors[d] = newAttrCursor(&g.sets[d])
	}
	return r
}

func (r *spanReader) read(id model.TraceID, i int, s ptrace.Span) {
	g := r.g
	num := func(f, i int) int64 { return intAt(g.ints[f], i) }
	start := num(iStart, i)
	s.SetTraceID(pcommon.TraceID(id))
	s.SetSpanID(pcommon.SpanID(g.spanID[i]))
	s.SetParentSpanID(pcommon.SpanID(g.parent[i]))
	s.SetStartTimestamp(pcommon.Timestamp(start))
	s.SetEndTimestamp(pcommon.Timestamp(start + num(iDur, i)))
	s.SetKind(ptrace.SpanKind(num(iKind, i)))
	s.SetName(g.strs[sName].at(i))
	s.TraceState().FromRaw(g.strs[sState].at(i))
	s.SetFlags(uint32(num(iFlags, i)))
	s.Status().SetCode(ptrace.StatusCode(num(iStatus, i)))
	s.Status().SetMessage(g.strs[sMessage].at(i))
	s.SetDroppedAttributesCount(uint32(num(iDropAttrs, i)))
	s.SetDroppedEventsCount(uint32(num(iDropEvents, i)))
	s.SetDroppedLinksCount(uint32(num(iDropLinks, i)))
	r.attrs(ofSpan, i, s.Attributes())
	for from, to := childRange(r.events, i); from < to; from++ {
		e := s.Events().AppendEmpty()
		e.SetTimestamp(pcommon.Timestamp(start + num(iEvTime, from)))
		e.SetName(g.strs[sEvName].at(from))
		e.SetDroppedAttributesCount(uint32(num(iEvDrop, from)))
		r.attrs(ofEvent, from, e.Attributes())
	}
	for from, to := childRange(r.links, i); from < to; from++ {
		l := s.Links().AppendEmpty()
		trace, span := linkIDs(g.strs[sLkID].at(from))
		l.SetTraceID(pcommon.TraceID(trace))
		l.SetSpanID(pcommon.SpanID(span))
		l.TraceState().FromRaw(g.strs[sLkState].at(from))
		l.SetFlags(uint32(num(iLkFlags, from)))
		l.SetDroppedAttributesCount(uint32(num(iLkDrop, from)))
		r.attrs(ofLink, from, l.Attributes())
	}
}

func (r *spanReader) attrs(d domain, row int, m pcommon.Map) {
	set, cur := &r.g.sets[d], &r.cursors[d]
	cur.seek(set, row)
	shape := set.shapes[set.codes[row]]
	m.EnsureCapacity(len(shape))
	for _, col := range shape {
		c := &set.cols[col]
		i := cur.next[col]
		v := m.PutEmpty(c.name)
		switch c.typ {
		case store.ValueString:
			v.SetStr(c.strs.at(i))
		case store.ValueInt:
			v.SetInt(intAt(c.ints, i))
		case store.ValueFloat:
			v.SetDouble(math.Float64frombits(uint64(intAt(c.ints, i))))
		case store.ValueBool:
			v.SetBool(intAt(c.ints, i) != 0)
		case store.ValueArray, store.ValueOther:
			decodeValue(codec.NewReader([]byte(c.strs.at(i))), v, 0)
		}
		cur.next[col]++
	}
	cur.row++
}
