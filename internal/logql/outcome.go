package logql

import (
	"encoding/binary"
	"math"
	"slices"
	"unsafe"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Where nothing but its labels decides what becomes of an entry, a pipeline runs once for
// all entries with the same fields. What comes out is remembered, and a store that counts
// such entries itself (see store.LogSelector.Pieces) yields no entries at all.

// outcome is what becomes of every entry with the same fields, or the same metadata, in
// streams that do not differ in labels that matter.
type outcome struct {
	known  bool    // it holds for every such entry
	series *accum  // nil if the entries are dropped
	value  float64 // of the sample, unless it is
	number bool    // the number of the entry, or
	size   bool    // the size of its line
}

// outcome returns that of fields or metadata with an ID, or of entries without either if id
// is -1.
func (a *rangeAgg) outcome(id int) *outcome {
	id++
	if id >= len(a.outcomes) {
		a.outcomes = append(a.outcomes, make([]outcome, id+1-len(a.outcomes))...)
	}
	return &a.outcomes[id]
}

// maxOutcomes bounds the outcomes that are remembered for further streams.
const maxOutcomes = 1 << 18

// recall sets the outcomes that hold for the stream of b.
func (a *rangeAgg) recall(b *store.LogRows) {
	key := binary.AppendUvarint(a.key[:0], uint64(b.Origin))
	if a.pureOf == nil {
		key = binary.LittleEndian.AppendUint64(key, b.StreamID)
	} else {
		for _, l := range b.Stream {
			if slices.Contains(a.pureOf, l.Name) {
				key = appendKey(key, []model.Label{l})
			}
		}
	}
	a.key = key
	if string(key) == a.streamKey {
		return
	}
	if a.streamKey != "-" {
		if a.remembered += len(a.outcomes); a.remembered > maxOutcomes {
			clear(a.byStream)
			a.remembered = len(a.outcomes)
		}
		a.byStream[a.streamKey] = a.outcomes
	}
	a.streamKey = string(key)
	a.outcomes = a.byStream[a.streamKey]
}

// isNumber reports whether text, the unwrapped value of r, is the field of which the store
// has the number.
func (a *rangeAgg) isNumber(r *row, text string) bool {
	at := slices.IndexFunc(r.found.Shape.Fields, func(f model.ShapeField) bool { return f.Name == a.expr.unwrap.name })
	if at < 0 || text == "" {
		return false
	}
	v := r.found.Values[at]
	return len(v) == len(text) && unsafe.StringData(v) == unsafe.StringData(text)
}

// isPure reports whether nothing but its labels decides what becomes of an entry, and its
// unwrapped value nothing but the sample.
func (a *rangeAgg) isPure() bool {
	var u usage
	for _, n := range a.expr.query.stages {
		n.reads(&u)
	}
	if w := a.expr.unwrap; w != nil {
		for _, f := range w.filters {
			f.reads(&u)
		}
		if u.all || slices.Contains(u.names, w.name) || a.group == nil || a.group.without || slices.Contains(a.group.labels, w.name) {
			return false
		}
	}
	if a.src.pipe.row.want != nil {
		a.pureOf = a.src.pipe.row.want.bases
	}
	reads, _ := a.src.pipe.readsLine()
	return !reads && !a.src.pipe.timed()
}

// tallies reports whether the sum of alike entries is as good as the entries.
func (a *rangeAgg) tallies() bool {
	switch a.kind {
	case accCount, accSum, accAvg, accMin, accMax, accAbsent, accVar, accStddev, accQuantile:
	default:
		return false
	}
	bytes := a.expr.unwrap == nil && a.expr.fn.value == valueBytes
	return a.pure && (!bytes || a.src.sel.Sizes || a.ownLine)
}

// addTallies adds the entries that the tallies of b stand for.
func (a *rangeAgg) addTallies(x *exec, b *store.LogRows) error {
	a.recall(b)
	r := &a.src.pipe.row
	for i := range b.Tallies {
		if err := x.alive(i); err != nil {
			return err
		}
		t := &b.Tallies[i]
		id := -1
		switch {
		case t.Fields != nil:
			id = t.Fields.ID
		case t.Meta != nil:
			id = t.Meta.ID
		}
		o := a.outcome(id)
		if !o.known {
			r.begin(0, "", b.Stream)
			r.found = t.Fields
			if t.Meta != nil {
				for _, l := range t.Meta.Labels {
					r.addMeta(l.Name, l.Value)
				}
			}
			a.numbered, a.number = a.src.sel.Number != nil, 0
			got, err := a.finish(b.StreamID)
			if err != nil {
				return err
			}
			*o = got
		}
		if o.series == nil {
			continue
		}
		at, grew := o.series.slot(t.Piece, a.fields)
		if err := a.hold(grew); err != nil {
			return err
		}
		if a.fields.each() {
			if err := a.addEach(o, t, at); err != nil {
				return err
			}
			continue
		}
		sum, least, greatest := o.value*float64(t.N), o.value, o.value
		switch {
		case o.number:
			sum, least, greatest = t.Sum, t.Min, t.Max
		case o.size:
			sum = float64(t.Size)
		}
		o.series.addTally(a.kind, at, t.N, sum, least, greatest)
	}
	return nil
}

// addEach adds the samples that t stands for one by one to element i of the series of o.
func (a *rangeAgg) addEach(o *outcome, t *model.LineTally, i int) error {
	if err := a.acct.Hold(t.N * a.fields.sample); err != nil {
		return err
	}
	if o.number {
		for _, v := range t.Numbers {
			o.series.add(a.kind, i, 0, v)
		}
		return nil
	}
	for range t.N {
		o.series.add(a.kind, i, 0, o.value)
	}
	return nil
}

// addTally adds n samples to element i.
func (s *accum) addTally(k accKind, i int, n int64, sum, least, greatest float64) {
	first := s.n[i] == 0
	s.n[i] += n
	switch k {
	case accSum, accAvg:
		s.a[i] += sum
	case accMin:
		if first || least < s.a[i] || math.IsNaN(s.a[i]) {
			s.a[i] = least
		}
	case accMax:
		if first || greatest > s.a[i] || math.IsNaN(s.a[i]) {
			s.a[i] = greatest
		}
	}
}
