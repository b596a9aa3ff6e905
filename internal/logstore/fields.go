package logstore

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/model"
)

// Rows of a template whose fields hold the same values are alike: they share one
// [model.LineFields], and tests on fields are decided when it is made. Mostly the fields
// of a query hold no variable, or one that is an integer such as a status, so that what a
// row is takes one look into a table. Where nearly every row is different, as by trace
// ids, rows get fields of their own.

// Bounds of the fields that rows share: of a shape and of a query, and of the integers
// that are looked up without hashing.
const (
	maxAlikeShape = 1 << 12
	maxAlike      = 1 << 16
	maxDirect     = 1 << 12
)

// foundTable is the fields that rows of a shape share.
type foundTable struct {
	one atomic.Pointer[model.LineFields] // if no variable tells rows apart

	// direct has, if one variable tells rows apart, the fields by the code of its value as
	// far as that is a small integer. Elements are set once.
	direct atomic.Pointer[[]atomic.Pointer[model.LineFields]]

	full  atomic.Bool // byKey takes no more
	mu    sync.Mutex
	byKey map[string]*model.LineFields // guarded by mu; by the texts of the variables, each with a zero behind it
}

// intCodes numbers small integers in the order in which they are met, so that tables of
// those that occur are short.
type intCodes struct {
	of [maxDirect]atomic.Uint32 // plus one
	n  atomic.Uint32
}

// code returns the code of v, which is below maxDirect.
func (c *intCodes) code(v int64) int {
	at := &c.of[v]
	code := at.Load()
	if code == 0 {
		at.CompareAndSwap(0, c.n.Add(1)) // a code that nobody gets does no harm
		code = at.Load()
	}
	return int(code - 1)
}

// grow makes room for code v in the direct table.
func (t *foundTable) grow(v int) []atomic.Pointer[model.LineFields] {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.direct.Load()
	if old != nil && v < len(*old) {
		return *old
	}
	n := 8
	for n <= v {
		n *= 2
	}
	grown := make([]atomic.Pointer[model.LineFields], n)
	if old != nil {
		for i := range *old {
			grown[i].Store((*old)[i].Load())
		}
	}
	t.direct.Store(&grown)
	return grown
}

// shapePlan is what a query wants of the fields of templates.
type shapePlan struct {
	of   []rowShape // of each template
	vars varPlan
}

// rowShape is a shape with its variables in the slots of a plan.
type rowShape struct {
	*shape
	slots []int32           // of the variables of the template
	moves []int32           // slots that move on with a row
	fixed *model.LineFields // of all rows, nil if they differ
	only  int32             // the slot of the variable that tells rows apart, if it is one integer; else -1
	deny  bool
}

// newShapePlan makes the plan of templates with the judgements of; those that are nil do not
// occur.
func newShapePlan(j *judge, list []*template, of []*judgement) *shapePlan {
	p := &shapePlan{of: make([]rowShape, len(list))}
	p.vars.begin(list)
	for id, v := range of {
		if v == nil || v.deny || v.shape.LineShape == nil {
			continue
		}
		for i := range v.shape.fields {
			for _, k := range v.shape.fields[i].vars {
				p.vars.want(list[id], int(k))
			}
		}
	}
	p.vars.finish(func(id int) bool { return of[id] != nil })
	r := &shapeReader{judge: j}
	for id, v := range of {
		if v == nil {
			continue
		}
		l := &p.of[id]
		*l = rowShape{shape: v.shape, moves: p.vars.moves[id], deny: v.deny, only: -1}
		if l.deny || l.LineShape == nil {
			continue
		}
		l.slots = make([]int32, len(list[id].places))
		for k := range l.slots {
			l.slots[k] = p.vars.slot(list[id], k)
		}
		switch {
		case len(l.vars) == 0 && l.number < 0:
			l.fixed = r.shared(l)
			l.deny = l.fixed == nil
		case len(l.vars) == 1 && list[id].kinds[l.vars[0]] == varInt:
			l.only = l.slots[l.vars[0]]
		}
	}
	return p
}

// shapeReader reads the fields of a block.
type shapeReader struct {
	openVars
	sk    *skeletons
	judge *judge
	of    []*rowShape // of each template of the block
	live  []int32     // rows of templates that are wanted, or move variables on
	at    int         // of live: the row at which the variables are
	buf   []byte

	// Memory of the fields that rows do not share.
	own    []model.LineFields
	values []string
	arena  []byte
}

// openShapes prepares to read the fields of the rows of sk. ids says which template of p
// each of sk is; nil means the same. The reader lives in the memory of scratch, but for the
// fields that it returns.
func openShapes(j *judge, p *shapePlan, ids []uint32, sk *skeletons, z *codec.Zstd, scratch *buffer) (*shapeReader, error) {
	vars, err := sk.open(&p.vars, ids, z, scratch)
	if err != nil {
		return nil, err
	}
	scratch.shapes = zeroed(scratch.shapes, len(sk.list))
	r := &shapeReader{openVars: vars, sk: sk, judge: j, of: scratch.shapes}
	for i := range r.of {
		id := i
		if ids != nil {
			id = int(ids[i])
		}
		r.of[i] = &p.of[id]
	}
	r.findLive(scratch)
	return r, nil
}

// findLive finds the rows that matter. There is no branch that depends on a row: which
// template one is of is hard to foresee.
func (r *shapeReader) findLive(scratch *buffer) {
	rows := r.sk.rows
	live := slices.Grow(scratch.live[:0], len(rows)+1)[:len(rows)+1]
	matters := zeroed(scratch.used, len(r.of))
	scratch.live, scratch.used = live, matters
	for id, l := range r.of {
		if !l.deny || len(l.moves) > 0 {
			matters[id] = 1
		}
	}
	n := 0
	for row, id := range rows {
		live[n] = int32(row)
		n += matters[id]
	}
	r.live = live[:n]
}

// skipTo moves the variables on to a row.
func (r *shapeReader) skipTo(row int) {
	for r.at < len(r.live) && int(r.live[r.at]) < row {
		r.skip(int(r.sk.rows[r.live[r.at]]))
		r.at++
	}
}

// room returns memory for n more integers.
func (b *buffer) room(n int) []int64 {
	b.ints = slices.Grow(b.ints, n)
	had := len(b.ints)
	b.ints = b.ints[:had+n]
	return b.ints[had : had : had+n]
}

// parse finds the fields of the rows that m, which is open, keeps: found[i] of row
// m.from+i, and its number if the query has one. It drops the rows that fail a test, and
// reports whether some that stay have to be looked at.
func (r *shapeReader) parse(m *mask, found []*model.LineFields, numbers []float64) (look bool) {
	from, keep := m.from, m.keep
	for k, id := range r.sk.rows[from : from+len(keep)] {
		keep[k] = keep[k] && !r.of[id].deny
	}
	for _, row := range r.live {
		id := r.sk.rows[row]
		l := r.of[id]
		if k := int(row) - from; uint(k) < uint(len(keep)) && keep[k] {
			switch {
			case l.fixed != nil:
				found[k] = l.fixed
			case l.LineShape == nil:
				look = true
			default:
				f := r.fields(l)
				if f != nil && l.number >= 0 && f.ID >= 0 {
					var ok bool
					if numbers[k], ok = r.number(l); !ok {
						f = r.lone(l)
					}
				}
				found[k] = f
				keep[k] = f != nil
			}
		}
		r.skip(int(id))
	}
	return look
}

// fields returns what the current row holds, nil if it fails a test.
func (r *shapeReader) fields(l *rowShape) *model.LineFields {
	if l.only < 0 {
		return r.shared(l)
	}
	only := &r.reads[l.only]
	if only.kind != varInt {
		return r.shared(l)
	}
	v := only.ints[only.next]
	if uint64(v) >= maxDirect {
		return r.shared(l)
	}
	var direct []atomic.Pointer[model.LineFields]
	if d := l.found.direct.Load(); d != nil {
		direct = *d
	}
	code := r.judge.codes.code(v)
	if code >= len(direct) {
		direct = l.found.grow(code)
	}
	f := direct[code].Load()
	if f == nil {
		if f = r.shared(l); f == nil {
			f = &r.judge.denied
		}
		if f.ID >= 0 {
			direct[code].Store(f)
		}
	}
	if f == &r.judge.denied {
		return nil
	}
	return f
}

// shared is fields by hashing.
func (r *shapeReader) shared(l *rowShape) *model.LineFields {
	t := &l.found
	f := t.one.Load()
	if len(l.vars) > 0 || f == nil {
		if !r.passes(l) {
			return nil
		}
		if f = r.lookUp(l); f == nil {
			f = r.make(l)
		}
	}
	return f
}

// lookUp returns what rows like the current one share, nil if nothing is entered. It leaves
// the key in r.buf.
func (r *shapeReader) lookUp(l *rowShape) *model.LineFields {
	r.buf = r.buf[:0]
	for _, k := range l.vars {
		r.buf = append(r.reads[l.slots[k]].peek(r.buf), 0)
	}
	t := &l.found
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byKey[string(r.buf)]
}

// passes runs the tests on the current row.
func (r *shapeReader) passes(l *rowShape) bool {
	for i := range l.tests {
		if !r.test(l, &l.tests[i]) {
			return false
		}
	}
	return true
}

// make makes the fields of the current row, which passes and whose key is in r.buf, for others
// to share unless there are too many.
func (r *shapeReader) make(l *rowShape) *model.LineFields {
	if l.found.full.Load() {
		return r.lone(l)
	}
	key := string(r.buf)
	if l.number >= 0 { // what is no number is like nothing else, and must not stand for other rows
		if _, ok := r.number(l); !ok {
			return r.lone(l)
		}
	}
	f := &model.LineFields{Shape: l.LineShape, Values: make([]string, 0, len(l.shape.fields))}
	for i := range l.shape.fields {
		r.buf = r.value(r.buf[:0], &l.shape.fields[i], l.slots)
		f.Values = append(f.Values, string(r.buf))
	}
	if f = r.judge.share(f, l.number); f == nil {
		l.found.full.Store(true)
		return r.lone(l)
	}
	f = l.found.enter(key, f)
	if len(l.vars) == 0 {
		l.found.one.Store(f)
	}
	return f
}

// enter enters f, unless another goroutine was faster, and returns what is entered.
func (t *foundTable) enter(key string, f *model.LineFields) *model.LineFields {
	t.mu.Lock()
	defer t.mu.Unlock()
	if had := t.byKey[key]; had != nil {
		return had
	}
	if t.byKey == nil {
		t.byKey = map[string]*model.LineFields{}
	}
	t.byKey[key] = f
	if len(t.byKey) >= maxAlikeShape {
		t.full.Store(true)
	}
	return f
}

// share returns the fields that all rows share, whatever their shape, that hold what f holds,
// but for the one of the given number. It gives them their ID, or returns nil if there are
// too many.
func (j *judge) share(f *model.LineFields, number int) *model.LineFields {
	key := binary.AppendUvarint(nil, uint64(len(f.Shape.Errs)))
	add := func(parser int, texts ...string) {
		key = binary.AppendUvarint(key, uint64(parser))
		for _, s := range texts {
			key = append(binary.AppendUvarint(key, uint64(len(s))), s...)
		}
	}
	for _, e := range f.Shape.Errs {
		add(e.Parser, e.Text)
	}
	for i, v := range f.Values {
		if i == number {
			v = ""
		}
		add(f.Shape.Fields[i].Parser, f.Shape.Fields[i].Name, v)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if had := j.alike[string(key)]; had != nil {
		return had
	}
	if len(j.alike) >= maxAlike {
		return nil
	}
	if j.alike == nil {
		j.alike = map[string]*model.LineFields{}
	}
	f.ID = len(j.alike)
	j.alike[string(key)] = f
	return f
}

// lone returns the fields of the current row as those of no other.
func (r *shapeReader) lone(l *rowShape) *model.LineFields {
	const chunk = 128
	if len(r.own) == cap(r.own) {
		r.own = make([]model.LineFields, 0, chunk)
	}
	n := len(l.shape.fields)
	if cap(r.values)-len(r.values) < n {
		r.values = make([]string, 0, max(chunk, n))
	}
	at := len(r.values)
	for i := range l.shape.fields {
		v := &l.shape.fields[i]
		if len(v.vars) == 0 {
			r.values = append(r.values, v.fixed)
			continue
		}
		r.buf = r.value(r.buf[:0], v, l.slots)
		if cap(r.arena)-len(r.arena) < len(r.buf) {
			r.arena = make([]byte, 0, max(64*chunk, len(r.buf)))
		}
		from := len(r.arena)
		r.arena = append(r.arena, r.buf...)
		r.values = append(r.values, text(r.arena[from:]))
	}
	r.own = append(r.own, model.LineFields{Shape: l.LineShape, ID: -1, Values: r.values[at:len(r.values):len(r.values)]})
	return &r.own[len(r.own)-1]
}

// test runs a test on the current row.
func (r *shapeReader) test(l *rowShape, t *shapeTest) bool {
	v := &l.shape.fields[t.field]
	if t.test.Int != nil && v.plain() {
		if c := &r.reads[l.slots[v.vars[0]]]; c.kind == varInt {
			return t.test.Int(c.ints[c.next])
		}
	}
	r.buf = r.value(r.buf[:0], v, l.slots)
	return t.test.Text(text(r.buf))
}

// number returns the number of the current row.
func (r *shapeReader) number(l *rowShape) (float64, bool) {
	v := &l.shape.fields[l.number]
	if r.judge.number.Int && v.plain() {
		if c := &r.reads[l.slots[v.vars[0]]]; c.kind == varInt {
			return float64(c.ints[c.next]), true
		}
	}
	r.buf = r.value(r.buf[:0], v, l.slots)
	return r.judge.number.Text(text(r.buf))
}

// value appends the value of v in the current row.
func (r *shapeReader) value(dst []byte, v *shapeValue, slots []int32) []byte {
	dst = append(dst, v.fixed...)
	for i, k := range v.vars {
		dst = append(r.reads[slots[k]].peek(dst), v.texts[i]...)
	}
	return dst
}
