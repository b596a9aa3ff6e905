package tracestore

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"sort"
	"time"

	"github.com/FastFilter/xorfilter"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// near is how far from the range of a Scan spans are looked at to judge Where.
const near = 6 * time.Hour

// batchRows is about how many spans a batch of a Scan holds. The first ones of a scan
// that the reader may cut short ([store.SpanSelector.Newer]) are smaller.
const (
	batchRows      = 4096
	batchRowsFirst = 256
)

// Caps implements [store.TraceReader].
func (s *Store) Caps() store.TraceCaps { return store.TraceCaps{} }

// Scan implements [store.TraceReader].
//
// All sources (parts, groups in memory) are sorted by trace id, so a scan is one pass
// over them in step: a window of trace ids is as wide as every group under its cursor
// covers. In a window, the groups in and near the range say which traces qualify, from
// as few columns as possible; only for those are the spans gathered, from all sources.
// Big scans are cut into shards of trace ids that run side by side (shard.go).
func (s *Store) Scan(ctx context.Context, tenant model.Tenant, sel store.SpanSelector) iter.Seq2[*store.SpanRows, error] {
	return func(yield func(*store.SpanRows, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(nil, err)
			return
		}
		snap := s.snapshot(tenant, sel.Range, sel.Account)
		defer snap.close()
		stopped := false
		emit := func(rows *store.SpanRows) bool {
			stopped = !yield(rows, nil)
			return !stopped
		}
		err := s.scanShards(ctx, snap, sel, emit)
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}

// scanShard hands the traces of one shard to emit, until that returns false.
func (s *Store) scanShard(ctx context.Context, snap *snapshot, sel store.SpanSelector, sh shard, emit func(*store.SpanRows) bool) error {
	q, err := s.newScan(snap, sel, sh)
	if err != nil {
		return err
	}
	defer q.release()
	for {
		ids, more, err := q.window()
		if err != nil {
			return err
		}
		for _, c := range ids {
			if q.tooOld(c.start) {
				continue
			}
			if err := q.gather(c.id); err != nil {
				return err
			}
			if !q.handOut(emit) {
				return nil
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !more {
			q.cut()
			q.handOut(emit)
			return nil
		}
		q.advance()
	}
}

// handOut hands the complete batches to emit; false means that it wants no more.
func (q *scan) handOut(emit func(*store.SpanRows) bool) bool {
	for _, rows := range q.full {
		q.sel.Account.Matched(int64(rows.Len()))
		if !emit(rows) {
			return false
		}
	}
	q.full = q.full[:0]
	return true
}

// tooOld reports whether the reader has no use for a trace with a span that starts at
// start.
func (q *scan) tooOld(start int64) bool {
	return q.sel.Newer != nil && start < q.sel.Newer.Load()
}

// scan is a Scan in progress.
type scan struct {
	store   *Store
	sel     store.SpanSelector
	res     resources
	where   *where
	out     *rowBuilder
	full    []*store.SpanRows // complete batches
	sources []*scanSource
	batch   int           // spans after which a batch ends
	high    model.TraceID // the end of the window
	floor   model.TraceID // ids up to it are done, if begun
	begun   bool
	ceil    model.TraceID // the last id to look at, if bounded
	bounded bool
	nearby  model.TimeRange // the range, widened by near
	held    int64
}

// scanSource is a cursor over the groups of a part, or one group in memory.
type scanSource struct {
	part    *openPart // nil for a group in memory
	metas   []groupMeta
	mem     *group
	inRange bool // some span may overlap the range
	near    bool // its spans take part in judging Where: they are near the range
	i       int
	open    map[int]*scanGroup

	recent  *scanGroup // the group asked for last, and its number
	recentI int
}

// scanGroup is an open group of a source.
type scanGroup struct {
	g       *group // nil if it is not open
	bad     bool   // damaged
	charged int64  // bytes read
	held    int64
	judged  bool
	match   []bool // spans that satisfy Where
	rows    *rowSource
	filter  *xorfilter.BinaryFuse8
	looked  bool // for the filter
}

func (s *Store) newScan(snap *snapshot, sel store.SpanSelector, sh shard) (*scan, error) {
	q := &scan{
		batch: batchRows,
		store: s, sel: sel, res: newResources(),
		floor: sh.after, begun: !sh.first, ceil: sh.upTo, bounded: !sh.last,
	}
	var err error
	if q.where, err = compileWhere(sel.Where, q.res); err != nil {
		return nil, err
	}
	if sel.Newer != nil {
		q.batch = batchRowsFirst
	}
	q.out = newRowBuilder(wantedOf(sel), q.res)
	if sel.Range.Empty() {
		return q, nil
	}
	nearby := nearby(sel.Range)
	q.nearby = nearby
	for _, p := range snap.view.Parts {
		st := p.Stats()
		q.sources = append(q.sources, &scanSource{
			part: p, metas: p.Data.groups,
			inRange: sel.Range.Overlaps(st.MinTime, st.MaxTime), near: nearby.Overlaps(st.MinTime, st.MaxTime),
		})
	}
	for _, g := range snap.mem {
		meta := groupMeta{rows: g.len(), first: g.first(), last: g.last(), minStart: g.times.lo, maxEnd: g.times.hi}
		q.sources = append(q.sources, &scanSource{
			mem: g, metas: []groupMeta{meta},
			inRange: sel.Range.Overlaps(g.times.lo, g.times.hi), near: nearby.Overlaps(g.times.lo, g.times.hi),
		})
	}
	for _, src := range q.sources {
		src.open = map[int]*scanGroup{}
		if q.begun {
			q.seekTo(src, q.floor)
		}
	}
	return q, nil
}

// nearby is r, widened by near.
func nearby(r model.TimeRange) model.TimeRange {
	out := model.TimeRange{From: r.From - int64(near), To: endOf(r.To, int64(near))}
	if out.From > r.From { // it overflows
		out.From = r.From
	}
	return out
}

func (q *scan) release() {
	q.sel.Account.Drop(q.held)
	for _, src := range q.sources {
		for _, sg := range src.open {
			q.store.scratch.put(sg.g)
		}
	}
}

// done reports whether the source has no groups left.
func (src *scanSource) done() bool { return src.i >= len(src.metas) }

// window returns the traces that qualify in the next window of trace ids; false means
// that there is none.
func (q *scan) window() ([]candidate, bool, error) {
	if q.sel.TraceIDs != nil && !q.seek() {
		return nil, false, nil
	}
	hi, ok := q.windowEnd()
	if !ok || q.bounded && q.begun && q.floor.Compare(q.ceil) >= 0 {
		return nil, false, nil
	}
	if q.bounded && hi.Compare(q.ceil) > 0 {
		hi = q.ceil
	}
	q.high = hi
	found, err := q.candidates(hi)
	return found, true, err
}

// advance ends the window.
func (q *scan) advance() {
	q.floor, q.begun = q.high, true
	for _, src := range q.sources {
		for !src.done() && src.metas[src.i].last.Compare(q.high) <= 0 {
			q.next(src)
		}
	}
}

// next closes the current group of src.
func (q *scan) next(src *scanSource) {
	if _, ok := src.open[src.i]; !ok && src.near {
		q.sel.Account.Skipped(1)
	}
	q.close(src, src.i)
	src.i++
}

// seek moves to the next wanted trace id; false if there is none.
func (q *scan) seek() bool {
	ids := q.sel.TraceIDs
	for len(ids) > 0 && q.begun && ids[0].Compare(q.floor) <= 0 {
		ids = ids[1:]
	}
	q.sel.TraceIDs = ids
	if len(ids) == 0 {
		return false
	}
	for _, src := range q.sources {
		q.seekTo(src, ids[0])
	}
	return true
}

// seekTo moves src to the first group that may hold id or a later one.
func (q *scan) seekTo(src *scanSource, id model.TraceID) {
	if src.done() || src.metas[src.i].last.Compare(id) >= 0 {
		return
	}
	rest := src.metas[src.i:]
	to := src.i + sort.Search(len(rest), func(i int) bool { return rest[i].last.Compare(id) >= 0 })
	for i := range src.open {
		if i < to {
			q.close(src, i)
		}
	}
	src.i = to
}

// windowEnd returns the end of the next window; false when no source in the range has more.
func (q *scan) windowEnd() (hi model.TraceID, ok bool) {
	alive := false
	for _, src := range q.sources {
		if !src.near || src.done() {
			continue
		}
		alive = alive || src.inRange
		if last := src.metas[src.i].last; !ok || last.Compare(hi) < 0 {
			hi, ok = last, true
		}
	}
	return hi, alive
}

// candidate is a trace that may qualify. start is that of one of its spans, and before or
// at those of the others that lie in the same group.
type candidate struct {
	id    model.TraceID
	start int64
}

func compareCandidates(a, b candidate) int {
	return cmp.Or(a.id.Compare(b.id), cmp.Compare(a.start, b.start))
}

// candidates returns, sorted, the traces in the window up to hi that qualify: some span
// satisfies Where, and some span overlaps the range.
func (q *scan) candidates(hi model.TraceID) ([]candidate, error) {
	var matching []candidate
	all := len(q.where.any) == 0
	if !all {
		err := q.each(hi, q.nearby, q.judge, func(sg *scanGroup, t int) bool {
			from, to := sg.g.run(t)
			return slices.Contains(sg.match[from:to], true)
		}, &matching)
		if err != nil || len(matching) == 0 {
			return nil, err
		}
	}
	var found []candidate
	err := q.each(hi, q.sel.Range, q.locate, func(sg *scanGroup, t int) bool {
		from, to := sg.g.run(t)
		if q.tooOld(intAt(sg.g.ints[iStart], from)) {
			return false
		}
		if !all {
			_, ok := slices.BinarySearchFunc(matching, sg.g.traces[t], func(c candidate, id model.TraceID) int { return c.id.Compare(id) })
			if !ok {
				return false
			}
		}
		for i := from; i < to; i++ {
			start := intAt(sg.g.ints[iStart], i)
			if q.sel.Range.Overlaps(start, endOf(start, sg.g.duration(i))) {
				return true
			}
		}
		return false
	}, &found)
	return found, err
}

// each appends to out, sorted, the traces in the window up to hi for which want is true,
// in groups that overlap times. prepare reads what want needs of a group; false means that
// it wants none of the group.
func (q *scan) each(hi model.TraceID, times model.TimeRange, prepare func(*group, *scanGroup) (bool, error),
	want func(*scanGroup, int) bool, out *[]candidate,
) error {
	for _, src := range q.sources {
		if !src.near {
			continue
		}
		for i := src.i; i < len(src.metas) && src.metas[i].first.Compare(hi) <= 0; i++ {
			if m := &src.metas[i]; !times.Overlaps(m.minStart, m.maxEnd) {
				continue
			}
			sg, err := q.group(src, i)
			if err != nil {
				return err
			}
			if sg.bad {
				continue
			}
			ok, err := prepare(sg.g, sg)
			if err := q.settle(src, i, sg, err); err != nil {
				return err
			}
			if !ok || sg.bad {
				continue
			}
			t := 0
			if q.begun {
				t = sort.Search(len(sg.g.traces), func(t int) bool { return sg.g.traces[t].Compare(q.floor) > 0 })
			}
			for ; t < len(sg.g.traces) && sg.g.traces[t].Compare(hi) <= 0; t++ {
				if q.wanted(sg.g.traces[t]) && want(sg, t) {
					from, _ := sg.g.run(t)
					*out = append(*out, candidate{sg.g.traces[t], intAt(sg.g.ints[iStart], from)})
				}
			}
		}
	}
	slices.SortFunc(*out, compareCandidates)
	*out = slices.CompactFunc(*out, func(a, b candidate) bool { return a.id == b.id })
	return nil
}

func (q *scan) wanted(id model.TraceID) bool {
	if q.sel.TraceIDs == nil {
		return true
	}
	_, ok := slices.BinarySearchFunc(q.sel.TraceIDs, id, model.TraceID.Compare)
	return ok
}

// judge evaluates Where on a group, once.
func (q *scan) judge(g *group, sg *scanGroup) (bool, error) {
	if !sg.judged {
		var err error
		if sg.match, err = q.where.match(g); err != nil {
			return false, err
		}
		sg.judged = true
	}
	if sg.match == nil {
		return false, nil
	}
	return true, g.need(secIDs)
}

// locate reads when the spans of a group are.
func (q *scan) locate(g *group, _ *scanGroup) (bool, error) {
	return true, g.need(secIDs, secInts+iStart, secInts+iDur)
}

// get returns group i of src, which need not be open.
func (src *scanSource) get(i int) *scanGroup {
	if src.recent != nil && src.recentI == i {
		return src.recent
	}
	sg := src.open[i]
	if sg == nil {
		sg = &scanGroup{}
		src.open[i] = sg
	}
	src.recent, src.recentI = sg, i
	return sg
}

// group opens group i of src, unless it is bad.
func (q *scan) group(src *scanSource, i int) (*scanGroup, error) {
	sg := src.get(i)
	if sg.g != nil || sg.bad {
		return sg, nil
	}
	if src.mem != nil {
		sg.g = src.mem
		return sg, q.settle(src, i, sg, nil)
	}
	g, err := openPartGroup(src.part, i, q.store.z, q.store.scratch.get())
	sg.g = g
	return sg, q.settle(src, i, sg, err)
}

// settle charges what was read of a group. Damage is reported, and ends the use of the
// group, not of the scan.
func (q *scan) settle(src *scanSource, i int, sg *scanGroup, err error) error {
	if errors.Is(err, store.ErrCorrupt) {
		reportDamage(src.part, i, err)
		q.sel.Account.Warn("part %s has damaged blocks: some spans are missing", src.part.Name())
		q.store.scratch.put(sg.g)
		sg.g, sg.bad = nil, true
		return nil
	}
	if err != nil || sg.g == nil {
		return err
	}
	n := sg.g.size()
	if n == sg.charged {
		return nil
	}
	more, rows := n-sg.charged, 0
	if sg.charged == 0 {
		rows = sg.g.len()
	}
	sg.charged = n
	if src.mem == nil {
		if err := q.sel.Account.Hold(decodedRatio * more); err != nil {
			return err
		}
		sg.held += decodedRatio * more
		q.held += decodedRatio * more
	}
	return q.sel.Account.Scanned(more, int64(rows))
}

// close lets group i go.
func (q *scan) close(src *scanSource, i int) {
	if sg := src.open[i]; sg != nil {
		q.sel.Account.Drop(sg.held)
		q.held -= sg.held
		q.store.scratch.put(sg.g)
		delete(src.open, i)
		src.recent = nil
	}
}

// gather appends the spans of trace id from all sources to the batch.
func (q *scan) gather(id model.TraceID) error {
	var picks []pick
	var from []*scanGroup
	hash := idHash(id)
	for _, src := range q.sources {
		if !src.near { // others move at the end of the window
			q.seekTo(src, id)
		}
		for i := src.i; i < len(src.metas) && src.metas[i].first.Compare(id) <= 0; i++ {
			if src.metas[i].last.Compare(id) < 0 {
				continue
			}
			sg, t, err := q.find(src, i, id, hash)
			if err != nil {
				return err
			}
			if t < 0 {
				continue
			}
			begin, end := sg.g.run(t)
			for row := begin; row < end; row++ {
				picks = append(picks, pick{intAt(sg.g.ints[iStart], row), sg.g.spanID[row], intAt(sg.g.ints[iKind], row), int32(len(from)), int32(row)})
			}
			from = append(from, sg)
		}
	}
	if len(from) > 1 {
		picks = dropDuplicates(picks)
		slices.SortFunc(picks, comparePicks)
	}
	if q.out.rows.Len()+len(picks) > q.batch {
		q.cut()
	}
	for _, p := range picks {
		q.out.add(from[p.in].rows, id, int(p.row))
	}
	return nil
}

// cut ends the batch in the making, if it holds anything.
func (q *scan) cut() {
	if q.out.rows.Len() > 0 {
		q.full = append(q.full, q.out.finish())
		q.batch = min(2*q.batch, batchRows)
	}
}

// find returns group i of src and the index of trace id in it, or -1. The rows of the
// group can then be read.
func (q *scan) find(src *scanSource, i int, id model.TraceID, hash uint64) (*scanGroup, int, error) {
	sg := src.get(i)
	if sg.g == nil && src.part != nil {
		if !sg.looked {
			var err error
			sg.looked = true
			sg.filter, err = openPartFilter(src.part, i)
			if err := q.settle(src, i, sg, err); err != nil {
				return sg, -1, err
			}
		}
		if sg.filter != nil && !sg.filter.Contains(hash) {
			return sg, -1, nil
		}
	}
	if _, err := q.group(src, i); err != nil || sg.bad {
		return sg, -1, err
	}
	if err := q.settle(src, i, sg, sg.g.need(secIDs)); err != nil || sg.bad {
		return sg, -1, err
	}
	t, ok := sg.g.find(id)
	if !ok {
		return sg, -1, nil
	}
	if sg.rows == nil {
		rows, err := newRowSource(sg.g, &q.out.want)
		if err := q.settle(src, i, sg, err); err != nil || sg.bad {
			return sg, -1, err
		}
		sg.rows = rows
	}
	return sg, t, nil
}
