package index

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/model"
)

// Builder makes a table out of label sets that come one after another. It keeps the
// different strings, and a number for each label of a set: far less than the sets.
type Builder struct {
	names  []*builderName // in order of their first use
	byName map[string]*builderName
	pairs  int

	shapes  []*shape
	byNames map[string]*shape // by the numbers of its names
	shapeOf []uint32          // of the sets

	key   []byte
	cols  []*builderName // of the set added last: mostly the next one has the same
	shape *shape         // likewise
}

// builderName is a label name and its values, in order of their first use.
type builderName struct {
	id     int
	name   string
	ids    map[string]uint32
	values []string

	last   string // the value looked up last, and its number
	lastID uint32
}

// shape is the sets with the same names.
type shape struct {
	id    uint32
	names []*builderName
	cols  [][]uint32 // numbers of values, by name
}

// NewBuilder returns an empty Builder.
func NewBuilder() *Builder {
	return &Builder{byName: map[string]*builderName{}, byNames: map[string]*shape{}}
}

// Len returns the number of label sets.
func (b *Builder) Len() int { return len(b.shapeOf) }

// Pairs returns the number of different pairs of name and value.
func (b *Builder) Pairs() int { return b.pairs }

// Add adds ls, which must come behind the set before it in the order of
// [model.Labels.Compare], and returns its ref. The builder keeps the strings.
func (b *Builder) Add(ls model.Labels) uint32 {
	same := b.shape != nil && len(ls) == len(b.cols)
	for i := range ls {
		if i < len(b.cols) && b.cols[i].name == ls[i].Name {
			continue
		}
		same = false
		n := b.byName[ls[i].Name]
		if n == nil {
			n = &builderName{id: len(b.names), name: ls[i].Name, ids: map[string]uint32{}}
			b.byName[n.name] = n
			b.names = append(b.names, n)
		}
		if i == len(b.cols) {
			b.cols = append(b.cols, n)
		}
		b.cols[i] = n
	}
	b.cols = b.cols[:len(ls)]
	if !same {
		b.findShape()
	}
	s := b.shape
	for i := range ls {
		s.cols[i] = append(s.cols[i], b.value(s.names[i], ls[i].Value))
	}
	b.shapeOf = append(b.shapeOf, s.id)
	return uint32(len(b.shapeOf) - 1)
}

// findShape makes the shape of b.cols the current one.
func (b *Builder) findShape() {
	b.key = b.key[:0]
	for _, n := range b.cols {
		b.key = binary.AppendUvarint(b.key, uint64(n.id))
	}
	if b.shape = b.byNames[string(b.key)]; b.shape == nil {
		b.shape = &shape{id: uint32(len(b.shapes)), names: slices.Clone(b.cols), cols: make([][]uint32, len(b.cols))}
		b.byNames[string(b.key)] = b.shape
		b.shapes = append(b.shapes, b.shape)
	}
}

// value returns the number of a value of n.
func (b *Builder) value(n *builderName, v string) uint32 {
	if v == n.last && len(n.values) > 0 {
		return n.lastID
	}
	id, ok := n.ids[v]
	if !ok {
		id = uint32(len(n.values))
		n.ids[v] = id
		n.values = append(n.values, v)
		b.pairs++
	}
	n.last, n.lastID = v, id
	return id
}

// sorted returns the values of n in order, and of each number its place in there.
func (n *builderName) sorted() (values []string, places []int64) {
	places = make([]int64, len(n.values))
	if slices.IsSorted(n.values) {
		for i := range places {
			places[i] = int64(i)
		}
		return n.values, places
	}
	order := make([]numbered, len(n.values))
	for i, v := range n.values {
		order[i] = numbered{v, uint32(i)}
	}
	order = sortRuns(order)
	values = make([]string, len(order))
	for i := range order {
		values[i], places[order[i].id] = order[i].value, int64(i)
	}
	return values, places
}

// numbered is a value and its number.
type numbered struct {
	value string
	id    uint32
}

// minRun is the average length of ascending runs from which merging these is the quicker way
// to sort.
const minRun = 16

// sortRuns sorts values, which it uses up. Sets come in order, so the values of a name do, too,
// as long as those of the names before it stay the same: mostly they are a few long runs.
func sortRuns(values []numbered) []numbered {
	var ends []int
	for i := range values {
		if i+1 == len(values) || values[i+1].value < values[i].value {
			ends = append(ends, i+1)
		}
	}
	if len(ends)*minRun > len(values) {
		slices.SortFunc(values, func(a, b numbered) int { return strings.Compare(a.value, b.value) })
		return values
	}
	for next := make([]numbered, len(values)); len(ends) > 1; values, next = next, values {
		from, merged := 0, ends[:0]
		for i := 0; i < len(ends); i += 2 {
			mid, to := ends[i], ends[min(i+1, len(ends)-1)]
			mergeRuns(next[from:to], values[from:mid], values[mid:to])
			from, merged = to, append(merged, to)
		}
		ends = merged
	}
	return values
}

// mergeRuns sets dst to the values of a and b, both in order.
func mergeRuns(dst, a, b []numbered) {
	for i := range dst {
		if len(b) == 0 || len(a) > 0 && a[0].value < b[0].value {
			dst[i], a = a[0], a[1:]
		} else {
			dst[i], b = b[0], b[1:]
		}
	}
}

// AppendTable appends the table of the sets to dst and uses the builder up. z may be nil.
func (b *Builder) AppendTable(dst []byte, z *codec.Zstd) []byte {
	slices.SortFunc(b.names, func(x, y *builderName) int {
		if x.name < y.name {
			return -1
		}
		return 1
	})
	names := make([]string, len(b.names))
	counts := make([]int64, len(b.names))
	places := make([][]int64, len(b.names))
	values := make([]string, 0, b.pairs)
	for i, n := range b.names {
		n.id = i
		var vs []string
		vs, places[i] = n.sorted()
		names[i], counts[i], values = n.name, int64(len(vs)), append(values, vs...)
	}
	dst = append(dst, tableVersion)
	dst = codec.AppendStrings(dst, names, z)
	dst = codec.AppendInts(dst, counts)
	dst = codec.AppendStrings(dst, values, z)

	lens := make([]int64, len(b.shapes))
	var flat []int64
	for i, s := range b.shapes {
		lens[i] = int64(len(s.names))
		for _, n := range s.names {
			flat = append(flat, int64(n.id))
		}
	}
	dst = codec.AppendInts(dst, lens)
	dst = codec.AppendInts(dst, flat)
	col := make([]int64, 0, len(b.shapeOf))
	for _, s := range b.shapeOf {
		col = append(col, int64(s))
	}
	dst = codec.AppendInts(dst, col)
	for _, s := range b.shapes {
		for i, ids := range s.cols {
			col = col[:0]
			for _, id := range ids {
				col = append(col, places[s.names[i].id][id])
			}
			dst = codec.AppendInts(dst, col)
		}
	}
	return dst
}
