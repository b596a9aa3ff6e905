package logql

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// logs runs a log query.
func (x *exec) logs(q *LogQuery) ([]Stream, error) {
	rng := model.TimeRange{From: x.p.Start, To: max(x.p.End, x.p.Start+1)}
	src, err := x.bind(q, rng, compileOptions{})
	if err != nil {
		return nil, err
	}
	src.sel.Direction = x.p.Direction
	if len(src.pipe.stages) == 0 && len(src.pipe.lines) == 0 && x.p.Interval == 0 {
		src.sel.Limit = x.p.Limit
	}
	k := &keeper{backward: x.p.Direction == store.Backward, limit: x.p.Limit, interval: int64(x.p.Interval), acct: x.p.Account}
	k.sets.categorize = x.p.Categorize
	if err := x.each(src, k); err != nil {
		return nil, err
	}
	return k.streams(), nil
}

// kept is an entry of the result, or one that may yet become one.
type kept struct {
	Entry
	set int32 // index of its labels
	seq int64 // order of arrival: breaks ties
}

// keeper picks the entries of a log query: the first limit ones in its direction. Without
// an interval it holds them in a heap with the worst on top. With one, entries wait until
// the store promises that none before them will come; then they are taken in order.
type keeper struct {
	backward bool
	limit    int
	interval int64
	acct     *store.Account

	entries []kept // the heap; with an interval the entries that wait
	taken   []kept // with an interval: chosen ones
	seq     int64
	sets    labelSets
	held    int64
}

// before reports whether a comes before b in the direction.
func (k *keeper) before(a, b *kept) bool {
	if a.Time != b.Time {
		return (a.Time < b.Time) != k.backward
	}
	return a.seq < b.seq
}

// The heap. Its top is the last entry in the direction.
func (k *keeper) Len() int           { return len(k.entries) }
func (k *keeper) Less(i, j int) bool { return k.before(&k.entries[j], &k.entries[i]) }
func (k *keeper) Swap(i, j int)      { k.entries[i], k.entries[j] = k.entries[j], k.entries[i] }
func (k *keeper) Push(v any)         { k.entries = append(k.entries, v.(kept)) }
func (k *keeper) Pop() any {
	last := k.entries[len(k.entries)-1]
	k.entries = k.entries[:len(k.entries)-1]
	return last
}

func (k *keeper) full() bool { return k.limit > 0 && len(k.entries) >= k.limit && k.interval == 0 }

// stop implements sink.
func (k *keeper) stop(t int64) bool {
	return k.full() && (t == k.entries[0].Time || (t > k.entries[0].Time) != k.backward)
}

// add considers the entry in r.
func (k *keeper) add(r *row) error {
	e := kept{Entry: Entry{Time: r.time}, seq: k.seq}
	k.seq++
	full := k.full()
	if full && !k.before(&e, &k.entries[0]) {
		return nil
	}
	if err := k.hold(r); err != nil {
		return err
	}
	e.Line = strings.Clone(r.line)
	e.set = k.sets.of(r, &e.Entry)
	switch {
	case k.interval > 0 || k.limit == 0:
		k.entries = append(k.entries, e)
	case full:
		k.entries[0] = e
		heap.Fix(k, 0)
	default:
		heap.Push(k, e)
	}
	return nil
}

// hold charges for an entry. What a replaced entry held is not given back: its labels may
// be shared.
func (k *keeper) hold(r *row) error {
	const overhead = 96
	if k.full() {
		return nil
	}
	n := int64(overhead + len(r.line))
	k.held += n
	return k.acct.Hold(n)
}

// batch is told that a batch has been added, and reports whether more are needed.
func (k *keeper) batch(b *store.LogRows) bool {
	if k.interval > 0 {
		return k.take(b.Frontier, false)
	}
	if !k.full() {
		return true
	}
	worst := k.entries[0].Time
	if k.backward {
		return worst < b.Frontier
	}
	return worst > b.Frontier
}

// take moves entries that lie strictly before frontier, or all of them, to the result as
// far as the interval allows, and reports whether more are needed.
func (k *keeper) take(frontier int64, all bool) bool {
	slices.SortFunc(k.entries, func(a, b kept) int {
		if k.before(&a, &b) {
			return -1
		}
		return 1
	})
	n := 0
	for ; n < len(k.entries); n++ {
		e := &k.entries[n]
		if !all && (e.Time == frontier || (e.Time > frontier) != k.backward) {
			break
		}
		if len(k.taken) > 0 {
			gap := e.Time - k.taken[len(k.taken)-1].Time
			if k.backward {
				gap = -gap
			}
			if gap < k.interval {
				continue
			}
		}
		if k.limit > 0 && len(k.taken) == k.limit {
			return false
		}
		k.taken = append(k.taken, *e)
	}
	k.entries = slices.Delete(k.entries, 0, n)
	return k.limit == 0 || len(k.taken) < k.limit
}

// namedStream is a stream with the text of its labels.
type namedStream struct {
	text string
	Stream
}

// streams returns the result.
func (k *keeper) streams() []Stream {
	if k.interval > 0 {
		if k.limit == 0 || len(k.taken) < k.limit {
			k.take(0, true)
		}
		k.entries = k.taken
	}
	slices.SortFunc(k.entries, func(a, b kept) int {
		if c := cmp.Compare(a.Time, b.Time); c != 0 {
			if k.backward {
				return -c
			}
			return c
		}
		return cmp.Compare(a.seq, b.seq)
	})
	byText := make([]namedStream, len(k.sets.list))
	for i := range k.entries {
		e := &k.entries[i]
		byText[e.set].Entries = append(byText[e.set].Entries, e.Entry)
	}
	for i := range byText {
		byText[i].Labels, byText[i].text = k.sets.list[i], k.sets.list[i].String()
	}
	slices.SortFunc(byText, func(a, b namedStream) int { return strings.Compare(a.text, b.text) })
	out := make([]Stream, 0, len(byText))
	for i := range byText {
		if len(byText[i].Entries) > 0 {
			out = append(out, byText[i].Stream)
		}
	}
	return out
}

// labelSets numbers the label sets of the result.
type labelSets struct {
	categorize bool

	list   []model.Labels
	byKey  map[string]int32
	labels []model.Label // buffer
	key    []byte        // buffer
}

// of returns the number of the labels of r. With categorize it sets the labels of e.
func (s *labelSets) of(r *row, e *Entry) int32 {
	if s.categorize {
		s.labels = r.appendStream(s.labels[:0])
		e.Meta = cloneSorted(append(model.Labels(nil), r.meta...))
		e.Parsed = cloneSorted(r.appendParsed(nil))
	} else {
		s.labels = r.appendAll(s.labels[:0])
	}
	s.key = appendKey(s.key[:0], s.labels)
	if i, ok := s.byKey[string(s.key)]; ok {
		return i
	}
	if s.byKey == nil {
		s.byKey = map[string]int32{}
	}
	i := int32(len(s.list))
	s.byKey[string(s.key)] = i
	s.list = append(s.list, cloneLabels(s.labels))
	return i
}

func cloneSorted(ls model.Labels) model.Labels {
	if len(ls) == 0 {
		return nil
	}
	sortLabels(ls)
	return cloneLabels(ls)
}

// cloneLabels is Labels.Clone with two allocations.
func cloneLabels(ls []model.Label) model.Labels {
	n := 0
	for i := range ls {
		n += len(ls[i].Name) + len(ls[i].Value)
	}
	b := make([]byte, 0, n)
	for i := range ls {
		b = append(append(b, ls[i].Name...), ls[i].Value...)
	}
	text := bytesView(b)
	out := make(model.Labels, len(ls))
	for i := range ls {
		name, value := len(ls[i].Name), len(ls[i].Value)
		out[i] = model.Label{Name: text[:name], Value: text[name : name+value]}
		text = text[name+value:]
	}
	return out
}

// appendKey appends bytes that are equal for equal labels only.
func appendKey(b []byte, ls []model.Label) []byte {
	for i := range ls {
		b = binary.AppendUvarint(b, uint64(len(ls[i].Name)))
		b = append(b, ls[i].Name...)
		b = binary.AppendUvarint(b, uint64(len(ls[i].Value)))
		b = append(b, ls[i].Value...)
	}
	return b
}
