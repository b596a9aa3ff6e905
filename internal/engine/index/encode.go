package index

import (
	"fmt"
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// A table is written as columns. Label sets with the same names share a shape; the
// values of the sets of one shape follow, one integer column per name.
const tableVersion = 1

// AppendTable appends the table of series to dst. They must be sorted by
// [model.Labels.Compare] and distinct; ref i of the decoded table is series[i]. z may be
// nil.
func AppendTable(dst []byte, series []model.Labels, z *codec.Zstd) []byte {
	b := NewBuilder()
	for _, ls := range series {
		b.Add(ls)
	}
	return b.AppendTable(dst, z)
}

// DecodeTable reads a table written by [AppendTable] from the start of src and returns
// what follows. The table keeps src. Errors wrap [store.ErrCorrupt].
func DecodeTable(src []byte, z *codec.Zstd) (*Table, []byte, error) {
	t, rest, err := decodeTable(src, z)
	if err != nil {
		return nil, src, fmt.Errorf("decode index: %w", err)
	}
	return t, rest, nil
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", store.ErrCorrupt, fmt.Sprintf(format, args...))
}

func decodeTable(src []byte, z *codec.Zstd) (*Table, []byte, error) {
	if len(src) == 0 || src[0] != tableVersion {
		return nil, nil, corrupt("unknown version")
	}
	t := &Table{}
	var err error
	if src, err = t.decodePairs(src[1:], z); err != nil {
		return nil, nil, err
	}
	lens, src, err := codec.DecodeInts(nil, src)
	if err != nil {
		return nil, nil, err
	}
	flat, src, err := codec.DecodeInts(nil, src)
	if err != nil {
		return nil, nil, err
	}
	shapes := make([][]int64, len(lens))
	for i, n := range lens {
		if n < 0 || n > int64(len(flat)) {
			return nil, nil, corrupt("shape of %d names", n)
		}
		shapes[i], flat = flat[:n], flat[n:]
		for j, name := range shapes[i] {
			if name < 0 || name >= int64(len(t.names)) || j > 0 && name <= shapes[i][j-1] {
				return nil, nil, corrupt("name %d in shape %d", name, i)
			}
		}
	}
	shapeOf, src, err := codec.DecodeInts(nil, src)
	if err != nil {
		return nil, nil, err
	}
	if src, err = t.decodeSeries(src, shapes, shapeOf); err != nil {
		return nil, nil, err
	}
	return t, src, nil
}

// decodePairs reads names and values.
func (t *Table) decodePairs(src []byte, z *codec.Zstd) ([]byte, error) {
	names, _, src, err := codec.DecodeStrings(nil, nil, src, z)
	if err != nil {
		return nil, err
	}
	counts, src, err := codec.DecodeInts(nil, src)
	if err != nil {
		return nil, err
	}
	values, _, src, err := codec.DecodeStrings(nil, nil, src, z)
	if err != nil {
		return nil, err
	}
	if len(counts) != len(names) {
		return nil, corrupt("%d names with %d counts", len(names), len(counts))
	}
	t.names, t.values = names, values
	t.first = make([]uint32, 1, len(names)+1)
	t.nameOf = make([]uint32, 0, len(values))
	left := values
	for i, n := range counts {
		if n < 1 || n > int64(len(left)) {
			return nil, corrupt("name with %d values", n)
		}
		if i > 0 && names[i-1] >= names[i] || !ascending(left[:n]) {
			return nil, corrupt("names or values out of order")
		}
		left = left[n:]
		t.first = append(t.first, t.first[i]+uint32(n))
		for range n {
			t.nameOf = append(t.nameOf, uint32(i))
		}
	}
	if len(left) > 0 {
		return nil, corrupt("%d values without a name", len(left))
	}
	return src, nil
}

func ascending(vs []string) bool {
	for i := 1; i < len(vs); i++ {
		if vs[i-1] >= vs[i] {
			return false
		}
	}
	return true
}

// decodeSeries reads the value columns and puts the pairs of each series together.
func (t *Table) decodeSeries(src []byte, shapes [][]int64, shapeOf []int64) ([]byte, error) {
	members := make([][]uint32, len(shapes))
	t.off = make([]uint32, len(shapeOf)+1)
	total := 0
	for i, s := range shapeOf {
		if s < 0 || s >= int64(len(shapes)) {
			return nil, corrupt("shape %d of %d", s, len(shapes))
		}
		members[s] = append(members[s], uint32(i))
		total += len(shapes[s])
		if total > 1<<31 {
			return nil, corrupt("more than %d labels", 1<<31)
		}
		t.off[i+1] = uint32(total)
	}
	// Every non-empty column takes bytes, but few: what is allocated here is bounded by
	// the series, which were decoded, times the names of a shape, which were as well.
	t.pairs = make([]uint32, total)
	var col []int64
	var err error
	for s, names := range shapes {
		for j, name := range names {
			if col, src, err = codec.DecodeInts(col[:0], src); err != nil {
				return nil, err
			}
			if len(col) != len(members[s]) {
				return nil, corrupt("column of %d values for %d series", len(col), len(members[s]))
			}
			lo, n := t.first[name], t.first[name+1]-t.first[name]
			for k, v := range col {
				if uint64(v) >= uint64(n) {
					return nil, corrupt("value %d of %d", v, n)
				}
				t.pairs[t.off[members[s][k]]+uint32(j)] = lo + uint32(v)
			}
		}
	}
	for i := 1; i < t.Len(); i++ {
		if slices.Compare(t.series(uint32(i-1)), t.series(uint32(i))) >= 0 {
			return nil, corrupt("series %d out of order", i)
		}
	}
	return src, nil
}
