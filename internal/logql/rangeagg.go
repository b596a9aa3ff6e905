package logql

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// rangeAgg runs a range aggregation: it turns entries into samples and adds each to the
// piece of time it lies in.
type rangeAgg struct {
	expr  *rangeAggExpr
	kind  accKind
	w     windows
	acct  *store.Account
	src   *source
	group *grouping // labels of the samples; nil keeps all
	skip  []string  // labels that are dropped if group is not by (...)

	filters  []predicate // after unwrap
	preserve bool        // parser errors are a wanted label

	fields  fields
	series  []*accum
	byKey   map[string]*accum // by labels
	byRow   map[string]*accum // by unsorted labels of a row: a cache
	last    *accum
	lastKey []byte
	key     []byte        // buffer
	labels  []model.Label // buffer
	live    []int         // buffer
	cols    [][]string    // buffer

	ownLine    bool // the line is made of labels
	pure       bool
	pureOf     []string             // labels of the stream that matter; nil if all do
	outcomes   []outcome            // by the ID of the fields, of the streams of the current batch
	byStream   map[string][]outcome // of streams by the labels that matter
	streamKey  string               // of outcomes
	remembered int                  // outcomes in byStream, and those taken out of it since it was empty
	number     float64              // of the current entry, if
	numbered   bool                 // its unwrapped field has a number

	// The piece that the latest sample was in.
	piece       int
	from, until int64
	inWindow    bool
}

// maxRowKeys bounds the cache rangeAgg.byRow.
const maxRowKeys = 65536

// rangeAgg evaluates e. If merge is not nil, e is the inside of a vector aggregation that
// can be computed with it, and merge are its labels.
func (x *exec) rangeAgg(e *rangeAggExpr, merge *grouping) (*frame, error) {
	if e.rng > maxReach-e.offset.Abs() {
		return nil, queryErrorf("range %s and offset %s reach back too far", formatDuration(e.rng), formatDuration(e.offset))
	}
	a := &rangeAgg{
		expr: e, kind: e.fn.acc, acct: x.p.Account,
		w:     newWindows(x.steps, x.p.Step, e.rng, e.offset),
		byKey: map[string]*accum{}, byRow: map[string]*accum{},
		group: e.group,
	}
	if merge != nil {
		a.group = merge
	}
	if e.unwrap != nil {
		a.skip = append(a.skip, e.unwrap.name)
		if a.kind == accCount {
			a.kind = accSum
		}
		for _, f := range e.unwrap.filters {
			p, err := f.cond.build()
			if err != nil {
				return nil, stageError(f, err)
			}
			a.filters = append(a.filters, p)
		}
	}
	if a.kind == accAbsent {
		a.group = &grouping{}
	}
	if a.group != nil {
		if a.group.without {
			a.skip = append(a.skip, a.group.labels...)
		} else {
			a.preserve = slices.Contains(a.group.labels, errorLabel)
		}
	}
	a.fields = a.kind.fields()
	if err := a.bind(x); err != nil {
		return nil, err
	}
	if err := a.scan(x); err != nil {
		return nil, err
	}
	if a.kind == accAbsent {
		return a.absent(x), nil
	}
	return a.frame(x)
}

// bind compiles the pipeline and decides which columns are read.
func (a *rangeAgg) bind(x *exec) error {
	e := a.expr
	o := compileOptions{countOnly: e.unwrap == nil && e.fn.value == valueOne, shapes: true}
	nodes := e.query.stages
	if o.countOnly {
		nodes = dropLastFormat(nodes)
	}
	var u usage
	for _, n := range nodes {
		n.reads(&u)
	}
	if e.unwrap != nil {
		u.add(e.unwrap.name)
		for _, f := range e.unwrap.filters {
			f.reads(&u)
		}
	}
	if a.group != nil && !a.group.without && !u.all {
		u.add(a.group.labels...)
		o.want = newWanted(u.names)
	}
	first, last := x.steps[0], x.steps[len(x.steps)-1]
	rng := model.TimeRange{From: first - int64(e.offset) - int64(e.rng) + 1, To: last - int64(e.offset) + 1}
	var err error
	if a.src, err = x.bind(e.query, rng, o); err != nil {
		return err
	}
	bytes := e.fn.value == valueBytes && e.unwrap == nil
	if reads, makes := a.src.pipe.readsLine(); !reads {
		a.ownLine = makes
		a.src.sel.Sizes = bytes && !makes && x.engine.Reader.Caps().Sizes
		a.src.sel.NoLine = !bytes || makes || a.src.sel.Sizes
	}
	if o.want != nil {
		a.src.sel.MetaNames = slices.DeleteFunc(slices.Clone(o.want.bases), func(s string) bool { return s == errorLabel || s == detailsLabel })
		a.src.sel.NoMeta = len(a.src.sel.MetaNames) == 0
	}
	return nil
}

// readsLine reports whether the pipeline looks at stored lines, and whether it makes lines of
// its own from labels alone.
func (p *pipeline) readsLine() (reads, makes bool) {
	if len(p.lines) > 0 && !p.judged {
		return true, false
	}
	for _, s := range p.stages {
		looks := false
		switch s := s.(type) {
		case *filterStage, *dropStage, *keepStage:
		case shapeStage:
			looks = !s.shape().on
		case *labelFormatStage:
			looks = slices.ContainsFunc(s.templates, func(t *lineTemplate) bool { return t != nil && t.line })
		case *lineFormatStage:
			if s.t.plain != nil && !s.t.line {
				makes = true
				continue
			}
			looks = true // a template that fails leaves the line
		default:
			looks = true
		}
		if looks && !makes {
			return true, false
		}
	}
	return false, makes
}

// timed reports whether the time of an entry, or the clock, may decide what becomes of it.
func (p *pipeline) timed() bool {
	return slices.ContainsFunc(p.stages, func(s stage) bool {
		switch s := s.(type) {
		case *lineFormatStage:
			return s.t.timed
		case *labelFormatStage:
			return slices.ContainsFunc(s.templates, func(t *lineTemplate) bool { return t != nil && t.timed })
		}
		return false
	})
}

func (a *rangeAgg) scan(x *exec) error {
	if a.expr.rng <= 0 {
		return nil // its windows are empty
	}
	a.pure = a.isPure()
	if u := a.expr.unwrap; a.pure && u != nil && a.src.sel.Parser != nil {
		a.src.sel.Number = &model.FieldNumber{Name: u.name, Text: u.conv.number, Int: u.conv == convNumber, List: a.fields.each()}
	}
	a.byStream, a.streamKey = map[string][]outcome{}, "-"
	if a.tallies() {
		a.src.sel.Pieces = a.w.piece
	}
	plain := len(a.src.pipe.stages) == 0 && len(a.src.pipe.lines) == 0 && a.expr.unwrap == nil
	for b, err := range x.engine.Reader.Select(x.ctx, x.tenant, a.src.sel) {
		if err != nil {
			return err
		}
		a.from, a.until = 1, 0 // batches start at any time
		if len(b.Tallies) > 0 {
			err = a.addTallies(x, b)
		} else if cols, ok := a.labelColumns(b); plain && ok {
			err = a.addRuns(b, cols)
		} else {
			err = a.addRows(x, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// labelColumns returns the metadata columns of b that decide to which series an entry
// belongs. ok is false if b carries pipeline errors.
func (a *rangeAgg) labelColumns(b *store.LogRows) (cols [][]string, ok bool) {
	cols = a.cols[:0]
	for i := range b.Meta {
		name := b.Meta[i].Name
		if a.src.pipe.row.unwanted(name) {
			continue
		}
		if name == errorLabel || name == detailsLabel {
			return nil, false
		}
		if a.group == nil || a.group.without || slices.Contains(a.group.labels, name) || slices.Contains(a.group.labels, a.src.pipe.row.names.extracted(name)) {
			cols = append(cols, b.Meta[i].Values)
		}
	}
	a.cols = cols
	return cols, true
}

// addRuns adds b in runs of entries that belong to the same series and the same piece of
// time. cols are the columns that decide about the series.
func (a *rangeAgg) addRuns(b *store.LogRows, cols [][]string) error {
	r := &a.src.pipe.row
	var s *accum
	for i := 0; i < len(b.Times); {
		j, until, ok := a.w.piece(b.Times[i])
		end := i + 1
		for end < len(b.Times) && b.Times[end] <= until && sameRow(cols, i, end) {
			end++
		}
		if !ok {
			i = end
			s = nil
			continue
		}
		if s == nil || !sameRow(cols, i-1, i) {
			r.begin(b.Times[i], "", b.Stream)
			for c := range b.Meta {
				if v := b.Meta[c].Values[i]; v != "" {
					r.addMeta(b.Meta[c].Name, v)
				}
			}
			var err error
			if s, err = a.seriesOfRow(r, b.StreamID); err != nil {
				return err
			}
		}
		at, grew := s.slot(j, a.fields)
		if err := a.hold(grew); err != nil {
			return err
		}
		s.n[at] += int64(end - i)
		if a.expr.fn.value == valueBytes {
			s.a[at] += float64(lineBytes(b, i, end))
		}
		i = end
	}
	return nil
}

// sameRow reports whether the rows i and j have equal values.
func sameRow(cols [][]string, i, j int) bool {
	for _, c := range cols {
		if c[i] != c[j] {
			return false
		}
	}
	return true
}

// lineBytes returns the bytes of the lines from..to.
func lineBytes(b *store.LogRows, from, to int) (n int) {
	if b.Sizes != nil {
		for _, size := range b.Sizes[from:to] {
			n += int(size)
		}
		return n
	}
	for _, l := range b.Lines[from:to] {
		n += len(l)
	}
	return n
}

func (a *rangeAgg) hold(slots int) error {
	if slots == 0 {
		return nil
	}
	return a.acct.Hold(int64(slots) * a.fields.bytes)
}

// addRows sends the entries of b through the pipeline one by one.
func (a *rangeAgg) addRows(x *exec, b *store.LogRows) error {
	p := a.src.pipe
	pure := a.pure && len(b.Meta) == 0 && b.Found != nil
	if pure {
		a.recall(b)
	}
	for i, t := range b.Times {
		if err := x.alive(i); err != nil {
			return err
		}
		if t < a.from || t > a.until {
			a.from = t
			a.piece, a.until, a.inWindow = a.w.piece(t)
		}
		if !a.inWindow {
			continue
		}
		var found *model.LineFields
		if b.Found != nil {
			found = b.Found[i]
		}
		var o *outcome
		if pure && found != nil && found.ID >= 0 {
			if o = a.outcome(found.ID); o.known {
				if o.series == nil {
					continue
				}
				v := o.value
				switch {
				case o.number:
					v = b.Numbers[i]
				case o.size:
					v = float64(b.Sizes[i])
				}
				if err := a.sample(o.series, t, v); err != nil {
					return err
				}
				continue
			}
		}
		line := ""
		if b.Lines != nil {
			line = b.Lines[i]
		}
		if (found == nil || !p.judged) && !p.passes(line) {
			continue
		}
		p.row.begin(t, line, b.Stream)
		p.row.found = found
		if b.Sizes != nil {
			p.row.size = int(b.Sizes[i])
		}
		for c := range b.Meta {
			if v := b.Meta[c].Values[i]; v != "" {
				p.row.addMeta(b.Meta[c].Name, v)
			}
		}
		if a.numbered = b.Numbers != nil && found != nil && found.ID >= 0; a.numbered {
			a.number = b.Numbers[i]
		}
		got, err := a.finish(b.StreamID)
		if err != nil {
			return err
		}
		if o != nil {
			*o = got
		}
		if got.series == nil {
			continue
		}
		if err := a.sample(got.series, t, got.value); err != nil {
			return err
		}
	}
	return nil
}

// sample adds v at t, which lies in the current piece, to s.
func (a *rangeAgg) sample(s *accum, t int64, v float64) error {
	i, grew := s.slot(a.piece, a.fields)
	if err := a.hold(grew); err != nil {
		return err
	}
	if n := a.fields.sample; n > 0 {
		if err := a.acct.Hold(n); err != nil {
			return err
		}
	}
	s.add(a.kind, i, t, v)
	return nil
}

// finish sends the entry that has begun through the pipeline and says what becomes of it.
func (a *rangeAgg) finish(stream uint64) (outcome, error) {
	o := outcome{value: 1}
	r := &a.src.pipe.row
	if !a.src.pipe.run() {
		return outcome{known: true}, nil
	}
	switch u := a.expr.unwrap; {
	case u != nil:
		text, ok := r.get(u.name)
		if !ok || text == "" {
			return outcome{known: true}, nil
		}
		var err error
		if a.numbered && a.isNumber(r, text) {
			o.value, o.number = a.number, true
		} else if o.value, err = u.conv.convert(text); err != nil {
			o.value = 0
			if r.err == "" {
				r.fail(errSample, strings.Clone(err.Error()))
			}
		}
		for _, f := range a.filters {
			if !f.eval(r) {
				return outcome{known: true}, nil
			}
		}
	case a.expr.fn.value == valueBytes:
		o.size = a.src.sel.Sizes
		if o.value = float64(len(r.line)); o.size {
			o.value = float64(r.size)
		}
	}
	o.known = o.size || a.ownLine || a.expr.unwrap != nil || a.expr.fn.value != valueBytes
	if r.err != "" && (!a.preserve || !r.parserErr) {
		ls := model.Labels(r.appendAll(nil))
		return outcome{}, queryErrorf("pipeline error: '%s' for series: '%s'. To skip such lines add a label filter: | %s!=\"%s\" or | %s=\"\", after unwrap if there is one", r.err, ls, errorLabel, r.err, errorLabel)
	}
	var err error
	o.series, err = a.seriesOfRow(r, stream)
	return o, err
}

// number is convert for values that are numbers.
func (c conversion) number(s string) (float64, bool) {
	if s == "" {
		return 0, false
	}
	v, err := c.convert(s)
	return v, err == nil
}

func (c conversion) convert(s string) (float64, error) {
	switch c {
	case convBytes:
		b, err := humanize.ParseBytes(s)
		return float64(b), err
	case convDuration, convSeconds:
		d, err := time.ParseDuration(s)
		return d.Seconds(), err
	}
	return parseFloat(s)
}

// seriesOfRow is seriesOf with caches in front of it.
func (a *rangeAgg) seriesOfRow(r *row, stream uint64) (*accum, error) {
	key := a.key[:0]
	if a.group != nil && !a.group.without {
		for _, name := range a.group.labels {
			v, ok := a.label(r, name)
			if !ok {
				key = append(key, 0)
				continue
			}
			key = binary.AppendUvarint(key, uint64(len(v))+1)
			key = append(key, v...)
		}
	} else {
		key = binary.LittleEndian.AppendUint64(key, stream)
		for _, name := range r.deleted {
			key = binary.AppendUvarint(key, uint64(len(name)))
			key = append(key, name...)
		}
		key = append(key, 0)
		key = appendKey(key, r.meta)
		key = append(key, 0)
		key = appendKey(key, r.parsed)
		key = append(key, r.details...)
	}
	a.key = key
	if a.last != nil && string(key) == string(a.lastKey) {
		return a.last, nil
	}
	s := a.byRow[string(key)]
	if s == nil {
		var err error
		if s, err = a.seriesOf(r); err != nil {
			return nil, err
		}
		if len(a.byRow) < maxRowKeys || a.group != nil && !a.group.without { // a key for each series
			a.byRow[string(a.key)] = s
		}
	}
	a.last, a.lastKey = s, append(a.lastKey[:0], a.key...)
	return s, nil
}

// label returns the value of a grouping label.
func (a *rangeAgg) label(r *row, name string) (string, bool) {
	if name == errorLabel {
		return r.err, r.err != ""
	}
	return r.get(name)
}

// seriesOf returns the series of the labels of r.
func (a *rangeAgg) seriesOf(r *row) (*accum, error) {
	ls := a.labels[:0]
	if a.group != nil && !a.group.without {
		for _, name := range a.group.labels {
			if v, ok := a.label(r, name); ok && index(ls, name) < 0 {
				ls = append(ls, model.Label{Name: name, Value: v})
			}
		}
		sortLabels(ls)
	} else {
		ls = slices.DeleteFunc(r.appendAll(ls), func(l model.Label) bool {
			return l.Value == "" || slices.Contains(a.skip, l.Name)
		})
	}
	a.labels = ls
	key := appendKey(nil, ls)
	s := a.byKey[string(key)]
	if s == nil {
		const overhead = 300
		if err := a.acct.Hold(int64(overhead + 4*len(key))); err != nil {
			return nil, err
		}
		s = &accum{labels: cloneLabels(ls)}
		a.byKey[string(key)] = s
		a.series = append(a.series, s)
	}
	return s, nil
}

// frame computes the windows of all series.
func (a *rangeAgg) frame(x *exec) (*frame, error) {
	f := &frame{n: len(x.steps)}
	win := newWindow(a.fields)
	spans := a.spans()
	for i, s := range a.series {
		v, err := x.newValues(s.labels)
		if err != nil {
			return nil, err
		}
		if err := a.slide(x, s, win, spans[s.base:], v); err != nil {
			return nil, err
		}
		a.acct.Drop(int64(len(s.n)) * a.fields.bytes)
		a.series[i] = nil
		if !v.has.empty() {
			f.series = append(f.series, v)
		}
	}
	return f, nil
}

// slide computes the windows of s into v. At each step the window is the run of pieces
// live[lo:hi] that are not empty. Whole numbers are added when a piece enters and taken
// away when it leaves; everything else is added up anew, since floats do not allow that.
func (a *rangeAgg) slide(x *exec, s *accum, win *window, spans [][2]int32, v *values) error {
	whole := a.kind == accCount || a.kind == accSum && a.expr.unwrap == nil
	live := a.live[:0]
	for j, n := range s.n {
		if n > 0 {
			live = append(live, j)
		}
	}
	a.live = live
	win.clear()
	lo, hi := 0, 0
	for k, t := range x.steps {
		for hi < len(live) && int(spans[live[hi]][0]) <= k {
			if whole {
				win.merge(a.kind, s, live[hi])
			}
			hi++
		}
		for lo < hi && int(spans[live[lo]][1]) < k {
			if whole {
				win.unmerge(s, live[lo])
			}
			lo++
		}
		if lo == hi {
			continue
		}
		if !whole {
			if err := x.ctx.Err(); err != nil { // windows may be long and many
				return err
			}
			win.clear()
			for _, j := range live[lo:hi] {
				win.merge(a.kind, s, j)
			}
		}
		v.set(k, win.value(a.expr, a.kind, t-int64(a.expr.offset)))
	}
	return x.ctx.Err()
}

// spans returns, for each piece, the steps in whose windows it lies. Pieces in no window
// get the values of the next one that is.
func (a *rangeAgg) spans() [][2]int32 {
	last := 0
	for _, s := range a.series {
		last = max(last, s.base+len(s.n))
	}
	out := make([][2]int32, last+1)
	t := a.w.start - a.w.offset - a.w.rng + 1
	for next := 0; next < len(out); {
		j, until, ok := a.w.piece(t)
		if ok {
			k1, k2 := a.w.span(t)
			for ; next < len(out) && next <= j; next++ {
				out[next] = [2]int32{k1, k2}
			}
		}
		if t >= a.w.start+(a.w.n-1)*a.w.step-a.w.offset {
			break
		}
		t = until + 1
	}
	return out
}

// absent returns the frame of absent_over_time: 1 where no series has a sample.
func (a *rangeAgg) absent(x *exec) *frame {
	present := newBitset(len(x.steps))
	spans := a.spans()
	for _, s := range a.series {
		for i, n := range s.n {
			if n == 0 {
				continue
			}
			for k := spans[s.base+i][0]; k <= spans[s.base+i][1]; k++ {
				present.set(int(k))
			}
		}
	}
	v := &values{labels: absentLabels(a.expr.query.Matchers), vals: make([]float64, len(x.steps)), has: newBitset(len(x.steps))}
	for k := range x.steps {
		if !present.get(k) {
			v.set(k, 1)
		}
	}
	f := &frame{n: len(x.steps)}
	if !v.has.empty() {
		f.series = append(f.series, v)
	}
	return f
}

// absentLabels returns what equality matchers say about labels that no other matcher
// names.
func absentLabels(ms []*model.Matcher) model.Labels {
	count := map[string]int{}
	for _, m := range ms {
		count[m.Name]++
	}
	ls := []model.Label{}
	for _, m := range ms {
		if m.Type == model.MatchEqual && count[m.Name] == 1 {
			ls = append(ls, model.Label{Name: m.Name, Value: m.Value})
		}
	}
	return model.NewLabels(ls...)
}
