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
// All sources (runs of parts, groups in memory) are sorted by trace id, so a scan is one pass
// over them in step: a window of trace ids is as wide as every group under its cursor
// covers. In a window, the groups in and near the range say which traces qualify, from
// as few columns as possible; only for those are the spans gathered, from all sources.
// A scan for the newest traces makes several passes, each for the traces of some sources
// (pass.go). Big passes are cut into shards of trace ids that run side by side (shard.go).
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
		err := s.scanPasses(ctx, snap, sel, emit)
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}

// scanShard hands the traces of one shard of a pass to emit, until that returns false.
func (s *Store) scanShard(ctx context.Context, sel store.SpanSelector, ps passes, sh shard, emit func(*store.SpanRows) bool) error {
	q, err := s.newScan(sel, ps, sh)
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
			if err := q.gather(c); err != nil {
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
// start, or before.
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
	pass    int           // looks for the traces of the sources of this pass
	homes   []home        // reused
	batch   int           // spans after which a batch ends
	high    model.TraceID // the end of the window
	floor   model.TraceID // ids up to it are done, if begun
	begun   bool
	ceil    model.TraceID // the last id to look at, if bounded
	bounded bool
	nearby  model.TimeRange // the range, widened by near
	held    int64
}

// scanSource is a cursor over the groups of a run of a part, or one group in memory.
type scanSource struct {
	part    *openPart // nil for a group in memory
	metas   []groupMeta
	base    int // number of the first group in the part
	mem     *group
	inRange bool // some span may overlap the range
	pass    int  // that looks for its traces; -1 for none: its spans are far from the range
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
	located bool
	at      int    // traces before it have been passed
	match   []bool // spans that satisfy Where
	rows    *rowSource
	filter  *xorfilter.BinaryFuse8
	looked  bool // for the filter
}

func (s *Store) newScan(sel store.SpanSelector, ps passes, sh shard) (*scan, error) {
	q := &scan{
		batch: batchRows, pass: sh.pass,
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
	q.nearby = nearby(sel.Range)
	for i, o := range ps.origins {
		q.sources = append(q.sources, &scanSource{
			part: o.part, metas: o.metas, base: o.base, mem: o.mem, inRange: sel.Range.Overlaps(o.first, o.last), pass: ps.of[i],
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
	if _, ok := src.open[src.i]; !ok && src.pass == q.pass {
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

// windowEnd returns the end of the next window; false when no source of the pass has more,
// or none in the range.
func (q *scan) windowEnd() (hi model.TraceID, ok bool) {
	alive := false
	for _, src := range q.sources {
		if src.done() {
			continue
		}
		alive = alive || src.inRange
		if src.pass != q.pass {
			continue
		}
		if last := src.metas[src.i].last; !ok || last.Compare(hi) < 0 {
			hi, ok = last, true
		}
	}
	return hi, ok && alive
}

// candidate is a trace that may qualify.
type candidate struct {
	id      model.TraceID
	start   int64 // of one of its spans, at or before those of others in the same group; known if [store.SpanSelector.Newer] is set
	inRange bool  // a span is known that overlaps the range
}

func compareCandidates(a, b candidate) int {
	return cmp.Or(a.id.Compare(b.id), cmp.Compare(a.start, b.start))
}

// candidates returns, sorted, the traces in the window up to hi of which a source of the
// pass holds a span that satisfies Where, or, without Where, one that overlaps the range.
func (q *scan) candidates(hi model.TraceID) ([]candidate, error) {
	times, prepare, found := q.sel.Range, q.locate, q.inRange
	if len(q.where.any) > 0 {
		times, prepare, found = q.nearby, q.judge, q.matches
	}
	var out []candidate
	for _, src := range q.sources {
		if src.pass != q.pass {
			continue
		}
		for i := src.i; i < len(src.metas) && src.metas[i].first.Compare(hi) <= 0; i++ {
			if m := &src.metas[i]; !times.Overlaps(m.minStart, m.maxEnd) || q.tooOld(m.maxEnd) || src.lacks(i) {
				continue
			}
			sg, err := q.group(src, i)
			if err != nil {
				return nil, err
			}
			if sg.bad {
				continue
			}
			ok, err := prepare(sg.g, sg)
			if ok && err == nil {
				out, err = q.collect(sg, hi, found, out)
			}
			if err := q.settle(src, i, sg, err); err != nil {
				return nil, err
			}
			if !ok && !sg.bad { // its memory is of use to others
				q.empty(sg)
			}
		}
	}
	slices.SortFunc(out, compareCandidates)
	n := 0
	for _, c := range out { // once each
		if n > 0 && out[n-1].id == c.id {
			out[n-1].inRange = out[n-1].inRange || c.inRange
			continue
		}
		out[n] = c
		n++
	}
	return out[:n], nil
}

// collect appends to out the traces of a group in the window up to hi that found finds.
func (q *scan) collect(sg *scanGroup, hi model.TraceID, found func(sg *scanGroup, from, to int) bool, out []candidate) ([]candidate, error) {
	t := 0
	if q.begun {
		t = sort.Search(len(sg.g.traces), func(t int) bool { return sg.g.traces[t].Compare(q.floor) > 0 })
	}
	judged := len(q.where.any) > 0
	for ; t < len(sg.g.traces) && sg.g.traces[t].Compare(hi) <= 0; t++ {
		from, to := sg.g.run(t)
		id := sg.g.traces[t]
		if !q.wanted(id) || judged && !found(sg, from, to) {
			continue
		}
		if err := sg.g.needTimes(from, to); err != nil {
			return out, err
		}
		c := candidate{id: id, start: intAt(sg.g.ints[iStart], from)}
		if !q.tooOld(c.start) && (judged || found(sg, from, to)) {
			c.inRange = q.inRange(sg, from, to)
			out = append(out, c)
		}
	}
	return out, nil
}

// matches reports whether a span of a group that was judged satisfies Where.
func (q *scan) matches(sg *scanGroup, from, to int) bool {
	return slices.Contains(sg.match[from:to], true)
}

// inRange reports whether one of the spans from..to of a group, whose times are known,
// overlaps the range.
func (q *scan) inRange(sg *scanGroup, from, to int) bool {
	for i := from; i < to; i++ {
		start := intAt(sg.g.ints[iStart], i)
		if q.sel.Range.Overlaps(start, endOf(start, sg.g.duration(i))) {
			return true
		}
	}
	return false
}

func (q *scan) wanted(id model.TraceID) bool {
	if q.sel.TraceIDs == nil {
		return true
	}
	_, ok := slices.BinarySearchFunc(q.sel.TraceIDs, id, model.TraceID.Compare)
	return ok
}

// judge evaluates Where on a group, once, and locates it if some span satisfies it.
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
	return q.locate(g, sg)
}

// locate reads where the traces of a group are.
func (q *scan) locate(g *group, sg *scanGroup) (bool, error) {
	sg.located = true
	return true, g.need(secIDs)
}

// needTimes reads when the spans from..to are, which are whole traces.
func (g *group) needTimes(from, to int) error {
	if err := g.needStarts(from, to); err != nil {
		return err
	}
	return g.needInts(iDur, from, to)
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
	g, err := openPartGroup(src.part, src.base+i, q.store.z, q.store.scratch.get())
	sg.g = g
	return sg, q.settle(src, i, sg, err)
}

// settle charges what was read of a group. Damage is reported, and ends the use of the
// group, not of the scan.
func (q *scan) settle(src *scanSource, i int, sg *scanGroup, err error) error {
	if errors.Is(err, store.ErrCorrupt) {
		reportDamage(src.part, src.base+i, err)
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

// lacks reports whether group i has been judged, and none of its spans satisfies Where.
func (src *scanSource) lacks(i int) bool {
	sg := src.open[i]
	return sg != nil && sg.judged && sg.match == nil
}

// close lets group i go.
func (q *scan) close(src *scanSource, i int) {
	if sg := src.open[i]; sg != nil {
		q.empty(sg)
		delete(src.open, i)
		src.recent = nil
	}
}

// empty gives the memory of a group back.
func (q *scan) empty(sg *scanGroup) {
	q.sel.Account.Drop(sg.held)
	q.held -= sg.held
	q.store.scratch.put(sg.g)
	sg.g, sg.rows, sg.located, sg.held, sg.charged = nil, nil, false, 0, 0
}

// home is where spans of a trace lie.
type home struct {
	src   *scanSource
	i     int // number of the group
	sg    *scanGroup
	trace int // index in the group
}

// gather appends the spans of a candidate from all sources to the batch, if it qualifies.
func (q *scan) gather(c candidate) error {
	hash := idHash(c.id)
	if !c.inRange {
		homes, err := q.find(c.id, hash, func(src *scanSource) bool { return src.inRange })
		if err != nil || !slices.ContainsFunc(homes, q.homeInRange) {
			return err
		}
	}
	homes, err := q.find(c.id, hash, func(*scanSource) bool { return true })
	if err != nil {
		return err
	}
	if ok, err := q.due(homes); !ok || err != nil {
		return err
	}
	var picks []pick
	for k, h := range homes {
		if ok, err := q.rows(h); err != nil {
			return err
		} else if !ok {
			continue
		}
		g := h.sg.g
		begin, end := g.run(h.trace)
		for row := begin; row < end; row++ {
			picks = append(picks, pick{intAt(g.ints[iStart], row), g.spanID[row], intAt(g.ints[iKind], row), int32(k), int32(row)})
		}
	}
	if len(homes) > 1 {
		picks = dropDuplicates(picks)
		slices.SortFunc(picks, comparePicks)
	}
	if q.out.rows.Len()+len(picks) > q.batch {
		q.cut()
	}
	for _, p := range picks {
		q.out.add(homes[p.in].sg.rows, c.id, int(p.row))
	}
	return nil
}

// find returns where spans of trace id lie in the sources that in accepts, oldest first, in
// groups that are located.
func (q *scan) find(id model.TraceID, hash uint64, in func(*scanSource) bool) ([]home, error) {
	q.homes = q.homes[:0]
	for _, src := range q.sources {
		if src.pass != q.pass { // others move at the end of the window
			q.seekTo(src, id)
		}
		if !in(src) {
			continue
		}
		for i := src.i; i < len(src.metas) && src.metas[i].first.Compare(id) <= 0; i++ {
			if src.metas[i].last.Compare(id) < 0 {
				continue
			}
			sg, t, err := q.findIn(src, i, id, hash)
			if err != nil {
				return nil, err
			}
			if t >= 0 {
				q.homes = append(q.homes, home{src, i, sg, t})
			}
		}
	}
	return q.homes, nil
}

func (q *scan) homeInRange(h home) bool {
	from, to := h.sg.g.run(h.trace)
	return q.inRange(h.sg, from, to)
}

// due reports whether a candidate that lies in homes is still of use, and is not one for an
// earlier pass.
func (q *scan) due(homes []home) (bool, error) {
	if q.sel.Newer == nil {
		return true, nil
	}
	for _, h := range homes {
		from, to := h.sg.g.run(h.trace)
		if q.tooOld(intAt(h.sg.g.ints[iStart], from)) {
			return false, nil
		}
		if h.src.pass < 0 || h.src.pass >= q.pass {
			continue
		}
		m := &h.src.metas[h.i]
		if len(q.where.any) == 0 {
			if q.sel.Range.Overlaps(m.minStart, m.maxEnd) && q.inRange(h.sg, from, to) {
				return false, nil
			}
			continue
		}
		if !q.nearby.Overlaps(m.minStart, m.maxEnd) {
			continue
		}
		ok, err := q.judge(h.sg.g, h.sg)
		if err := q.settle(h.src, h.i, h.sg, err); err != nil {
			return false, err
		}
		if ok && !h.sg.bad && q.matches(h.sg, from, to) {
			return false, nil
		}
	}
	return true, nil
}

// rows makes the rows of the trace at h readable; false if its group is damaged.
func (q *scan) rows(h home) (bool, error) {
	sg := h.sg
	if sg.bad {
		return false, nil
	}
	var err error
	if sg.rows == nil {
		sg.rows, err = newRowSource(sg.g, &q.out.want)
	}
	if err == nil {
		from, to := sg.g.run(h.trace)
		err = sg.rows.load(from, to)
	}
	err = q.settle(h.src, h.i, sg, err)
	return err == nil && !sg.bad, err
}

// cut ends the batch in the making, if it holds anything.
func (q *scan) cut() {
	if q.out.rows.Len() > 0 {
		q.full = append(q.full, q.out.finish())
		q.batch = min(2*q.batch, batchRows)
	}
}

// findIn returns group i of src and the index of trace id in it, whose times are known, or -1.
func (q *scan) findIn(src *scanSource, i int, id model.TraceID, hash uint64) (*scanGroup, int, error) {
	sg := src.get(i)
	if src.part != nil && !sg.located {
		if !sg.looked {
			var err error
			sg.looked = true
			sg.filter, err = openPartFilter(src.part, src.base+i)
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
	_, err := q.locate(sg.g, sg)
	if err := q.settle(src, i, sg, err); err != nil || sg.bad {
		return sg, -1, err
	}
	ids := sg.g.traces // asked for in order: those before sg.at have been passed
	step := 1
	for sg.at < len(ids) && ids[sg.at].Compare(id) < 0 {
		end := min(sg.at+step, len(ids))
		if ids[end-1].Compare(id) < 0 {
			sg.at, step = end, 2*step
			continue
		}
		n, _ := slices.BinarySearchFunc(ids[sg.at:end], id, model.TraceID.Compare)
		sg.at += n
	}
	if sg.at == len(ids) || ids[sg.at] != id {
		return sg, -1, nil
	}
	if err := q.settle(src, i, sg, sg.g.needTimes(sg.g.run(sg.at))); err != nil || sg.bad {
		return sg, -1, err
	}
	return sg, sg.at, nil
}
