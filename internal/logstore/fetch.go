package logstore

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/engine/textmatch"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// fetched is a block that a query reads. Within a slice it is decoded once, filtered, and
// dropped after its last use.
type fetched struct {
	part     *part.Part[*partIndex]
	info     *blockInfo
	number   int     // in the part
	pruner   *pruner // nil if all blocks are read
	asked    bool    // the filter has no more to say
	seq      int
	min, max int64 // of the wanted segments
	lacks    bool  // no row is wanted, whatever the slice

	order int // in which the slice needs it
	users int // uses that are not finished
	uses  []use
	done  chan struct{} // closed when the fields below are set
	err   error

	n     int // rows that passed the filters; uses say which are whose
	times []int64
	lines lineText
	meta  metaColumns // those of the answer
	orig  []int32     // for each row its row in the block; nil if that is the same
	bare  bool        // lines holds nothing: no row needs its line

	found   []*model.LineFields // of each row, nil if all lines have to be looked at
	numbers []float64           // of each row, if the query has a number

	sizes  []int32 // of lines, if they are wanted
	fields *buffer // behind meta
	text   *buffer // behind lines
	ints   *buffer // behind times
	held   int64   // bytes charged to the account
	full   *fullRows
}

// use is the rows of one stream in a block: from..to of the block, lo..hi of those that
// passed the filters.
type use struct {
	from, to, lo, hi int

	// Of a query that takes tallies: the range of time that no other source of the stream
	// reaches into, the rows first..end of the block that lie there, and what they count.
	alone      model.TimeRange
	first, end int
	tallies    []model.LineTally
}

// begin prepares b for a slice.
func (b *fetched) begin(order int) {
	*b = fetched{
		part: b.part, info: b.info, number: b.number, pruner: b.pruner, asked: b.asked, seq: b.seq, min: b.min, max: b.max, lacks: b.lacks,
		order: order, uses: b.uses[:0], done: make(chan struct{}),
	}
}

// wants says which columns a query reads and which rows it keeps.
type wants struct {
	r      model.TimeRange
	lines  []lineFilter
	fields []store.FieldPredicate
	values [][]string                                      // that satisfy each of fields, nil if they are not known
	judge  *judge                                          // of the line filters and the parser
	metas  *metaTable                                      // of tallies
	pieces func(t int64) (piece int, until int64, ok bool) // for tallies; nil if rows are wanted
	noLine bool
	sizes  bool // of lines
	noMeta bool
	names  map[string]bool // of metadata in the answer; nil for all
}

// needText reports whether the lines column is read.
func (w *wants) needText() bool { return !w.noLine || len(w.lines) > 0 || w.judge.parses() || w.sizes }

// fetcher decodes the blocks of a slice ahead of their consumer.
type fetcher struct {
	s       *Store
	alive   func() error // why the query has to end, nil if it has not
	wants   *wants
	acct    *store.Account
	blocks  []*fetched
	next    int // first block not started
	window  int
	queue   chan *fetched // blocks that are started
	workers int           // goroutines that decode them; they keep their grown stacks
	wg      sync.WaitGroup
	stopped atomic.Bool
}

func (s *Store) newFetcher(alive func() error, w *wants, blocks []*fetched, acct *store.Account) *fetcher {
	window := 2 * runtime.GOMAXPROCS(0)
	return &fetcher{s: s, alive: alive, wants: w, acct: acct, blocks: blocks, window: window, queue: make(chan *fetched, window)}
}

// need waits until b is decoded.
func (f *fetcher) need(b *fetched) error {
	for f.next < len(f.blocks) && f.next < b.order+f.window {
		next := f.blocks[f.next]
		f.next++
		if next.users == 0 || next.lacks { // users: its streams have reached the limit
			close(next.done)
			continue
		}
		f.queue <- next
		if f.workers < f.window {
			f.workers++
			f.wg.Go(f.work)
		}
	}
	<-b.done
	return b.err
}

// work decodes blocks until the fetcher stops.
func (f *fetcher) work() {
	for b := range f.queue {
		if f.stopped.Load() {
			b.err = context.Canceled
		} else if b.err = f.alive(); b.err == nil {
			b.err = f.decode(b)
		}
		close(b.done)
	}
}

// finish counts one use of b as finished.
func (f *fetcher) finish(b *fetched) {
	if b.users--; b.users > 0 {
		return
	}
	if b.order < f.next {
		<-b.done // it may have been started without being needed
		f.drop(b)
	}
}

func (f *fetcher) drop(b *fetched) {
	if b.text != nil {
		f.s.pool.put(b.text)
		b.text = nil
	}
	if b.ints != nil {
		f.s.pool.put(b.ints)
		b.ints = nil
	}
	f.dropFields(b)
	f.acct.Drop(b.held)
	b.held, b.lines, b.meta, b.times, b.sizes, b.full, b.found, b.numbers = 0, lineText{}, metaColumns{}, nil, nil, nil, nil, nil
}

// stop waits for what was started and drops everything.
func (f *fetcher) stop() {
	f.stopped.Store(true)
	close(f.queue)
	f.wg.Wait()
	for _, b := range f.blocks[:f.next] {
		f.drop(b)
	}
	for _, b := range f.blocks {
		b.users = 0
	}
}

// column reads a checked column of b into buf, which may be nil.
func (b *fetched) column(c int, buf []byte) ([]byte, error) {
	return b.part.Read(b.info.cols[c], buf)
}

// decode reads what the query wants of b. Unreadable bytes make it empty, with a warning.
func (f *fetcher) decode(b *fetched) error {
	err := f.decodeColumns(b)
	if !errors.Is(err, store.ErrCorrupt) {
		return err
	}
	f.s.damaged(b, err, f.acct)
	for i := range b.uses {
		b.uses[i].lo, b.uses[i].hi, b.uses[i].tallies = 0, 0, nil
	}
	return nil
}

// damaged reports that b cannot be read.
func (s *Store) damaged(b *fetched, err error, acct *store.Account) {
	if b.part.Data.reportOnce(b.info.cols[colTimes]) {
		b.part.Damaged(err)
	}
	acct.Warn("a block of part %s is damaged: up to %d rows of %s are missing", b.part.Name(), b.info.rows, b.part.Info.Day)
}

func (f *fetcher) decodeColumns(b *fetched) error {
	buf := f.s.pool.get()
	defer f.s.pool.put(buf)
	may, err := f.mayMatch(b, buf)
	if err != nil {
		return err
	}
	if !may {
		b.lacks = true
		f.acct.Skipped(1)
		return nil
	}
	may, probed, err := f.probe(b, buf)
	if err != nil {
		return err
	}
	if !may {
		b.lacks = true
		return f.acct.Scanned(probed, int64(b.info.rows))
	}
	if err := f.decodeTimes(b, buf); err != nil {
		return err
	}
	w := f.wants
	keep := newMask(b)
	size := int64(8 * b.info.rows)
	n, err := f.testFields(b, keep)
	if err != nil {
		return err
	}
	size += n
	if w.needText() && !keep.empty() {
		n, err := f.decodeText(b, keep, buf)
		if err != nil {
			return err
		}
		size += n
	}
	if err := f.acct.Scanned(size, int64(b.info.rows)); err != nil {
		return err
	}
	if err := f.tally(b, keep); err != nil {
		return err
	}
	f.compact(b, keep)
	if err := f.decodeMeta(b); err != nil {
		return err
	}
	held := int64(8*len(b.times)+len(b.lines.text)) + b.meta.memory()
	if err := f.acct.Hold(held); err != nil {
		return err
	}
	b.held = held
	return nil
}

// mayMatch asks the filter of b. A filter that cannot be read hides nothing.
func (f *fetcher) mayMatch(b *fetched, buf *buffer) (bool, error) {
	if b.asked || b.pruner == nil {
		return true, nil
	}
	b.asked = true
	x := b.part.Data
	data, err := b.readInto(colFilter, buf)
	var bf blockFilter
	if err == nil {
		bf, err = openFilter(data, b.info.cols[colRows].Len > 0)
	}
	if errors.Is(err, store.ErrCorrupt) {
		if x.reportOnce(b.info.cols[colFilter]) {
			b.part.Damaged(err)
		}
		return true, nil
	}
	if err != nil {
		return true, err
	}
	f.s.filters.put(x, b.number, &bf)
	return b.pruner.may(b.info, &bf), nil
}

// fieldValues returns for each predicate the values that satisfy it, nil if these are many
// or the field may be absent.
func fieldValues(fields []store.FieldPredicate) [][]string {
	out := make([][]string, len(fields))
	for i := range fields {
		switch p := &fields[i]; {
		case p.Test != nil:
		case p.Matcher.Type == model.MatchEqual:
			out[i] = []string{p.Matcher.Value}
		case p.Matcher.Type == model.MatchRegexp:
			out[i], _ = textmatch.Texts(p.Matcher.Value)
		}
		if slices.Contains(out[i], "") {
			out[i] = nil
		}
	}
	return out
}

// readInto reads a column into buf, which keeps the memory.
func (b *fetched) readInto(c int, buf *buffer) ([]byte, error) {
	if need := int(b.info.cols[c].Len) + 8; cap(buf.b) < need && need <= maxPooled {
		buf.b = make([]byte, 0, need+need/4)
	}
	return b.column(c, buf.b)
}

// decodeTimes reads the times and narrows the uses to the range.
func (f *fetcher) decodeTimes(b *fetched, buf *buffer) error {
	data, err := b.readInto(colTimes, buf)
	if err != nil {
		return err
	}
	r := codec.NewReader(data)
	b.ints = f.s.pool.get()
	b.ints.ints = b.ints.ints[:0]
	if b.times = r.Ints(b.ints.room(b.info.rows)); len(b.times) != b.info.rows {
		r.Fail("%d times, want %d", len(b.times), b.info.rows)
	}
	if err := r.Err(); err != nil {
		return err
	}
	b.n = b.info.rows
	for i := range b.uses {
		u := &b.uses[i]
		of := b.times[u.from:u.to]
		u.lo = u.from + sort.Search(len(of), func(i int) bool { return of[i] >= f.wants.r.From })
		u.hi = u.from + sort.Search(len(of), func(i int) bool { return of[i] >= f.wants.r.To })
	}
	return nil
}

// lineReader reads the lines column of a block.
type lineReader struct {
	b    *fetched
	buf  *buffer
	used int   // bytes of buf that hold results
	size int64 // bytes read
}

// read is a [lineSource].
func (r *lineReader) read(off, n int) ([]byte, error) {
	if n < 0 {
		data, err := r.b.readInto(colLines, r.buf)
		r.size += int64(len(data))
		return data, err
	}
	r.size += int64(n)
	if cap(r.buf.b)-r.used < n {
		r.buf.b, r.used = make([]byte, 0, n+n/4), 0 // earlier results keep their memory
	}
	dst := r.buf.b[r.used : r.used+n : r.used+n]
	r.used += n
	return dst, r.b.part.ReadPiece(r.b.info.cols[colLines], off, dst)
}

// openText opens the lines of b: what the rows column and the index know of them or, if
// that is nothing, the lines column. With sizes it also reads the lengths of lines.
func (b *fetched) openText(sizes bool, lines *lineReader, scratch *buffer) (encodedLines, error) {
	if b.info.cols[colRows].Len > 0 { // since version 2
		data, err := b.readInto(colRows, lines.buf)
		if err != nil {
			return encodedLines{}, err
		}
		lines.size += int64(len(data))
		list := b.part.Data.templatesOf(b.info, scratch)
		rows, err := openRows(data, b.info.rows, len(list), scratch)
		if err != nil {
			return encodedLines{}, err
		}
		if sizes {
			if b.sizes, err = rows.sizes(b.info.rows); err != nil {
				return encodedLines{}, err
			}
		}
		sk, err := rows.skeletons(list, lines.read, scratch)
		if sk != nil || err != nil {
			return encodedLines{sk: sk}, err
		}
	}
	return encodedLines{}, nil
}

// decodeText reads what is wanted of the lines, and applies the line filters. It returns
// the bytes that it looked at.
func (f *fetcher) decodeText(b *fetched, keep *mask, buf *buffer) (int64, error) {
	scratch := f.s.pool.get()
	defer f.s.pool.put(scratch)
	w := f.wants
	lines := &lineReader{b: b, buf: buf}
	enc, err := b.openText(w.sizes, lines, scratch)
	if err != nil {
		return 0, err
	}
	asks := w.judge.asks() || !w.noLine || w.sizes && b.sizes == nil
	if enc.sk == nil && asks {
		data, err := lines.read(0, -1)
		if err != nil {
			return lines.size, err
		}
		if enc, err = openLines(data, b.info.rows, f.s.zstd, scratch); err != nil {
			return lines.size, err
		}
	}
	var of []*judgement
	if enc.sk != nil && w.judge.asks() {
		of = b.pruner.judgements(b.info, enc.sk, scratch)
	}
	open := keep.decide(w.lines, enc.sk, of)
	if len(open) > 0 && enc.sk != nil {
		plan, ids := b.pruner.plan(b.info, enc.sk, of, scratch)
		if open, err = keep.narrow(w.lines, enc.sk, of, plan, ids, f.s.zstd, &f.s.pool); err != nil {
			return lines.size, err
		}
		// Lines are not printed for the sake of a hint.
		open = slices.DeleteFunc(open, func(f *lineFilter) bool { return f.hint })
	}
	b.bare = w.noLine && (!w.sizes || b.sizes != nil)
	if w.judge.parses() {
		b.bare = false
		if enc.sk != nil && !keep.empty() {
			if err := f.findFields(b, enc.sk, of, keep, len(open) == 0, scratch); err != nil {
				return lines.size, err
			}
		}
	}
	if len(open) == 0 && b.bare || keep.empty() || !asks {
		return lines.size, nil
	}
	err = f.printLines(b, &enc, keep, open)
	return max(lines.size, int64(len(b.lines.text))), err
}

// printLines prints the lines of b that are needed and applies the filters that need them.
func (f *fetcher) printLines(b *fetched, enc *encodedLines, keep *mask, open []*lineFilter) error {
	printed := keep
	if len(open) == 0 && f.wants.noLine && b.found != nil { // only lines that have to be looked at
		printed = keep.without(b.found)
	}
	b.text = f.s.pool.get()
	var err error
	if b.lines, b.text.b, err = enc.render(printed.keep, printed.from, f.s.zstd, &f.s.pool, b.text.b); err != nil {
		return err
	}
	for _, lf := range open {
		keep.lines(lf, &b.lines)
	}
	if f.wants.sizes && b.sizes == nil {
		b.sizes = make([]int32, b.info.rows)
		for i := range b.sizes {
			b.sizes[i] = int32(len(b.lines.line(i)))
		}
	}
	return nil
}

// findFields finds the fields of the rows that keep holds, and drops those that fail a test.
// If these are final, it counts those that the query only counts, and drops them too.
func (f *fetcher) findFields(b *fetched, sk *skeletons, of []*judgement, keep *mask, final bool, scratch *buffer) error {
	plan, ids := b.pruner.shapePlan(b.info, sk, of)
	r, err := openShapes(f.wants.judge, plan, ids, sk, f.s.zstd, scratch)
	if err != nil {
		return err
	}
	if final && f.wants.tallies(b) {
		if r.tally(b, f.wants.tallier(b, keep)); keep.empty() {
			b.bare = f.wants.noLine
			return nil
		}
		r.rewind()
	}
	keep.open()
	b.found = make([]*model.LineFields, len(keep.keep))
	if f.wants.judge.number != nil {
		b.numbers = make([]float64, len(keep.keep))
	}
	b.bare = !r.parse(keep, b.found, b.numbers) && f.wants.noLine
	return nil
}

// mask is the rows of a block that are still wanted.
type mask struct {
	b    *fetched
	from int    // row of keep[0]
	keep []bool // nil while all rows of the uses are wanted
}

func newMask(b *fetched) *mask { return &mask{b: b} }

func (m *mask) empty() bool {
	if m.keep == nil {
		for _, u := range m.b.uses {
			if u.lo < u.hi {
				return false
			}
		}
		return true
	}
	for _, k := range m.keep {
		if k {
			return false
		}
	}
	return true
}

// open makes keep.
func (m *mask) open() {
	if m.keep != nil {
		return
	}
	from, to := m.b.n, 0
	for _, u := range m.b.uses {
		if u.lo < u.hi {
			from, to = min(from, u.lo), max(to, u.hi)
		}
	}
	m.from = from
	m.keep = make([]bool, max(0, to-from))
	for _, u := range m.b.uses {
		for i := u.lo; i < u.hi; i++ {
			m.keep[i-from] = true
		}
	}
}

// without returns the rows of m that found has nothing of.
func (m *mask) without(found []*model.LineFields) *mask {
	out := &mask{b: m.b, from: m.from, keep: make([]bool, len(m.keep))}
	for i, k := range m.keep {
		out.keep[i] = k && found[i] == nil
	}
	return out
}

// decide drops the rows whose template is denied, and returns the filters that need the
// lines. sk is nil if there are no skeletons; of are the judgements of its templates.
func (m *mask) decide(fs []lineFilter, sk *skeletons, of []*judgement) []*lineFilter {
	var open []*lineFilter
	if sk == nil {
		for i := range fs {
			open = append(open, &fs[i])
		}
		return open
	}
	if len(fs) == 0 { // parse drops what is denied
		return nil
	}
	m.open()
	rows := sk.rows[min(m.from, len(sk.rows)):]
	for k, keep := range m.keep {
		m.keep[k] = keep && !of[rows[k]].deny
	}
	return m.undecided(fs, sk, of, func(*needle) bool { return false })
}

// undecided returns the filters that the templates of the rows in m leave open, without
// those that are settled by what a template knows about variables.
func (m *mask) undecided(fs []lineFilter, sk *skeletons, of []*judgement, settled func(*needle) bool) []*lineFilter {
	var open []*lineFilter
	used := m.used(sk)
	for i := range fs {
		for id, v := range of {
			if used[id] && v.verdicts[i] == maybe && !settled(v.needles[i]) {
				open = append(open, &fs[i])
				break
			}
		}
	}
	return open
}

// used returns which templates of sk the rows in m have; m is open.
func (m *mask) used(sk *skeletons) []bool {
	used := make([]bool, len(sk.list))
	rows := sk.rows[min(m.from, len(sk.rows)):]
	for k, keep := range m.keep {
		if keep {
			used[rows[k]] = true
		}
	}
	return used
}

// lines keeps the rows whose line satisfies f.
func (m *mask) lines(f *lineFilter, t *lineText) {
	m.open()
	f.mark(t, m.from, m.from+len(m.keep), m.keep)
}

// compact drops the rows that are not wanted, and columns that are not part of the answer.
func (f *fetcher) compact(b *fetched, m *mask) {
	if b.bare {
		b.lines = lineText{}
	}
	if m.keep == nil {
		return
	}
	n := 0
	for _, k := range m.keep {
		if k {
			n++
		}
	}
	b.orig = make([]int32, 0, n)
	for i, k := range m.keep {
		if k {
			b.orig = append(b.orig, int32(m.from+i))
		}
	}
	for i := range b.uses {
		if u := &b.uses[i]; u.lo < u.hi {
			u.lo, _ = slices.BinarySearch(b.orig, int32(u.lo))
			u.hi, _ = slices.BinarySearch(b.orig, int32(u.hi))
		}
	}
	b.n = len(b.orig)
	for i, o := range b.orig {
		b.times[i] = b.times[o]
	}
	b.times = b.times[:b.n]
	if b.found != nil {
		for i, o := range b.orig {
			b.found[i] = b.found[int(o)-m.from]
		}
		b.found = b.found[:b.n]
	}
	if b.numbers != nil {
		for i, o := range b.orig {
			b.numbers[i] = b.numbers[int(o)-m.from]
		}
		b.numbers = b.numbers[:b.n]
	}
	if b.sizes != nil {
		sizes := make([]int32, b.n)
		for i, o := range b.orig {
			sizes[i] = b.sizes[o]
		}
		b.sizes = sizes
	}
	if b.text == nil {
		return
	}
	if b.bare || b.n == 0 {
		f.s.pool.put(b.text)
		b.text, b.lines = nil, lineText{}
		return
	}
	if b.n*4 > b.info.rows*3 {
		compactLines(&b.lines, b.orig)
		return
	}
	small := make([]byte, 0, b.n*(len(b.lines.text)/b.info.rows+16))
	ends := make([]uint32, b.n)
	for i, o := range b.orig {
		small = append(small, b.lines.line(int(o))...)
		ends[i] = uint32(len(small))
		small = append(small, '\n')
	}
	f.s.pool.put(b.text)
	b.text, b.lines = nil, lineText{text: text(small), ends: ends}
}

// compactLines keeps the rows orig without moving the text: starts are kept aside.
func compactLines(t *lineText, orig []int32) {
	starts, ends := make([]uint32, len(orig)), make([]uint32, len(orig))
	for i, o := range orig {
		starts[i], ends[i] = uint32(t.start(int(o))), t.ends[o]
	}
	t.starts, t.ends = starts, ends
}

// fullRows is all lines and metadata of a block, decoded to compare equal times.
type fullRows struct {
	lines lineText
	meta  metaColumns
}

// content returns the line and the encoded metadata of row i of b, whatever the query
// wants. They stay valid.
func (f *fetcher) content(b *fetched, i int) (line, meta string, err error) {
	if b.full == nil {
		full := &fullRows{}
		lines := &lineReader{b: b, buf: &buffer{}}
		enc, err := b.openText(false, lines, &buffer{})
		if err != nil {
			return "", "", err
		}
		if enc.sk == nil {
			data, err := lines.read(0, -1)
			if err != nil {
				return "", "", err
			}
			if enc, err = openLines(data, b.info.rows, f.s.zstd, &buffer{}); err != nil {
				return "", "", err
			}
		}
		if full.lines, _, err = enc.render(nil, 0, f.s.zstd, &f.s.pool, nil); err != nil {
			return "", "", err
		}
		data, err := b.column(colMeta, nil)
		if err != nil {
			return "", "", err
		}
		if full.meta, err = openMeta(data, nil); err != nil {
			return "", "", err
		}
		if err = full.meta.decodeAll(b.info.rows, f.s.zstd, &buffer{}); err != nil {
			return "", "", err
		}
		b.full = full
	}
	if b.orig != nil {
		i = int(b.orig[i])
	}
	return b.full.lines.line(i), b.full.meta.row(i), nil
}
