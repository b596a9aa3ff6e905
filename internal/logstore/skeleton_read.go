package logstore

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/store"
)

// skeletons is an opened lines column of the layouts with skeletons.
type skeletons struct {
	list    []*template
	rows    []int64  // template of each row
	counts  []int    // rows of each template
	byPlace []int32  // the column of each place, plus one
	size    int      // bytes of the text, 0 if not known
	vars    [][]byte // encoded columns, nil where they are not read yet

	dir    *directory // of the columns, nil if they are read together
	begins []int      // of the columns in dir
	source lineSource // nil if all are read
}

// lineSource reads n bytes of a lines column from off on, all of it if n is negative. Its
// results stay valid.
type lineSource func(off, n int) ([]byte, error)

// varReader is a decoded column of variables, read from front to back.
type varReader struct {
	kind   byte
	width  int
	widths []int64
	ints   []int64
	bytes  []byte
	texts  []string
	same   bool // integers that are all equal
	next   int  // value of the next row
	at     int  // in bytes
}

// readSkeletons reads a column of n rows behind its layout byte. Strings share memory with
// data, rows with scratch.
func readSkeletons(data []byte, n int, z *codec.Zstd, scratch *buffer) (*skeletons, error) {
	s := &skeletons{}
	r := codec.NewReader(data)
	s.size = r.Count(1 << 30)
	r, columns := s.readShape(r, z)
	scratch.ints = scratch.ints[:0]
	s.rows = r.Ints(scratch.room(n))
	scratch.counts = countRows(r, scratch.counts, s.rows, n, len(s.list))
	s.counts = scratch.counts
	s.byPlace = make([]int32, columns) // places are columns
	for c := range s.byPlace {
		s.byPlace[c] = int32(c + 1)
	}
	s.readColumns(r, columns)
	if r.Err() == nil {
		s.noteKinds()
	}
	return s, r.Err()
}

// place finds the columns of the variables of s, which is in the templates layout.
func (s *skeletons) place(scratch *buffer) error {
	columns := 0
	if s.dir == nil {
		scratch.byPlace, columns = columnsOf(s.list, scratch.byPlace)
	} else {
		columns = len(s.dir.lens)
		var ok bool
		if scratch.byPlace, ok = s.dir.byPlace(s.list, scratch.byPlace); !ok {
			return fmt.Errorf("directory of lines: variables of no template: %w", store.ErrCorrupt)
		}
		scratch.begins = s.dir.begins(scratch.begins)
		s.begins = scratch.begins
	}
	scratch.columnData = zeroed(scratch.columnData, columns)
	s.byPlace, s.vars = scratch.byPlace, scratch.columnData
	return nil
}

// columnAt returns the column of a place, -1 if there is none.
func (s *skeletons) columnAt(place int32) int32 {
	if int(place) < len(s.byPlace) {
		return s.byPlace[place] - 1
	}
	return -1
}

// load reads a column of the templates layout.
func (s *skeletons) load(data []byte) error {
	r := codec.NewReader(data)
	if mode := r.Byte(); mode != linesTemplates {
		r.Fail("lines column of layout %d does not fit its index", mode)
	}
	s.size = r.Count(1 << 30)
	s.readColumns(r, len(s.vars))
	s.source = nil
	return r.Err()
}

// fetch reads the columns cols, which it sorts.
func (s *skeletons) fetch(cols []int32) error {
	if s.source == nil {
		return nil
	}
	if s.dir == nil {
		data, err := s.source(0, -1)
		if err != nil {
			return err
		}
		return s.load(data)
	}
	cols = slices.DeleteFunc(cols, func(c int32) bool { return s.vars[c] != nil })
	slices.Sort(cols)
	for len(cols) > 0 {
		first, n := cols[0], 1
		end := s.end(first)
		for n < len(cols) && s.begins[cols[n]] <= end+maxGap {
			end = s.end(cols[n])
			n++
		}
		data, err := s.source(s.begins[first], end-s.begins[first])
		if err != nil {
			return err
		}
		for _, c := range cols[:n] {
			column := data[s.begins[c]-s.begins[first] : s.end(c)-s.begins[first]]
			if !s.dir.intact(int(c), column) || column[0] > varText {
				return fmt.Errorf("column %d of lines: checksum: %w", c, store.ErrCorrupt)
			}
			s.vars[c] = column
		}
		cols = cols[n:]
	}
	return nil
}

// maxGap is the bytes between two columns that are read for nothing rather than with
// another call.
const maxGap = 4 << 10

// end returns where a column ends in the lines column.
func (s *skeletons) end(c int32) int { return s.begins[c] + int(s.dir.lens[c]) }

func (s *skeletons) readColumns(r *codec.Reader, columns int) {
	if n := r.Count(columns); n != columns {
		r.Fail("%d columns, want %d", n, columns)
	}
	s.vars = make([][]byte, 0, columns)
	for i := 0; i < columns && r.Err() == nil; i++ {
		v := r.Bytes()
		if len(v) == 0 || v[0] > varText {
			r.Fail("variables of unknown kind")
			break
		}
		s.vars = append(s.vars, v)
	}
}

// readShape reads the templates of s. It returns the number of columns.
func (s *skeletons) readShape(r *codec.Reader, z *codec.Zstd) (*codec.Reader, int) {
	lits, r := readStrings(r, z)
	counts, cols := r.Ints(nil), r.Ints(nil)
	columns := int64(0)
	for _, c := range cols {
		if c < 0 || c > columns {
			r.Fail("column %d behind %d", c, columns)
			return r, 0
		}
		columns = max(columns, c+1)
	}
	for _, c := range counts {
		if c < 0 || c > int64(len(cols)) || c+1 > int64(len(lits)) {
			r.Fail("skeleton of %d variables", c)
			return r, 0
		}
		of := make([]int32, c)
		for i := range of {
			of[i] = int32(cols[i])
		}
		s.list = append(s.list, &template{lits: lits[:c+1], places: of})
		cols, lits = cols[c:], lits[c+1:]
	}
	return r, int(columns)
}

// noteKinds tells the templates what their columns say about the kinds of variables.
func (s *skeletons) noteKinds() {
	for _, tp := range s.list {
		for _, c := range tp.places {
			kind := byte(varText)
			switch s.vars[c][0] {
			case varInt, varPadded, varMixed:
				kind = varInt
			case varHex, varHexMix:
				kind = varHex
			}
			tp.kinds = append(tp.kinds, kind)
		}
	}
}

// readStrings reads a codec string column and returns a reader of what follows.
func readStrings(r *codec.Reader, z *codec.Zstd) ([]string, *codec.Reader) {
	ss, _, rest, err := codec.DecodeStrings(nil, nil, r.Rest(), z)
	if err != nil {
		r.Fail("strings: %v", err)
		return nil, r
	}
	return ss, codec.NewReader(rest)
}

// readVars reads a column of n variables, integers into ints.
func readVars(data []byte, n int, z *codec.Zstd, ints []int64) (varReader, error) {
	r := codec.NewReader(data)
	v := varReader{kind: r.Byte()}
	have := 0
	switch v.kind {
	case varText:
		v.texts, r = readStrings(r, z)
		have = len(v.texts)
	case varInt, varPadded, varMixed:
		if v.kind == varPadded {
			v.width = r.Count(maxDigits)
		}
		if v.kind == varMixed {
			v.widths = r.Ints(nil)
		}
		v.ints = r.Ints(ints)
		have = len(v.ints)
	case varHex, varHexMix:
		var need uint64
		if v.kind == varHex {
			v.width = r.Count(maxHex)
			need = uint64(n) * uint64((v.width+1)/2)
		} else {
			v.widths = r.Ints(nil)
			for _, w := range v.widths {
				need += uint64(min(max(0, w), maxHex)+1) / 2
			}
		}
		digits, _, _, err := z.Decode(nil, r.Rest())
		if err != nil {
			return v, err
		}
		if v.bytes = digits; uint64(len(digits)) != need {
			r.Fail("%d bytes of hex digits, want %d", len(digits), need)
		}
		have = n
	default:
		r.Fail("variables of unknown kind %d", v.kind)
	}
	if have != n || v.widths != nil && len(v.widths) != n {
		r.Fail("%d variables with %d widths, want %d", have, len(v.widths), n)
	}
	if i := slices.IndexFunc(v.widths, func(w int64) bool { return w < 1 || w > maxHex || v.kind == varMixed && w > maxDigits }); i >= 0 {
		r.Fail("variable of width %d", v.widths[i])
	}
	v.same = len(v.ints) > 0 && v.widths == nil && !slices.ContainsFunc(v.ints, func(x int64) bool { return x != v.ints[0] })
	return v, r.Err()
}

// render appends the lines of the rows that keep[i-from] wants, all if keep is nil, each
// with its newline, to buf. Other rows are empty.
func (s *skeletons) render(keep []bool, from int, z *codec.Zstd, pool *bufferPool, buf []byte) (txt []byte, ends []uint32, err error) {
	if few, ok := rowsOf(keep, from, len(s.rows)); ok {
		return s.renderFew(few, z, pool, buf)
	}
	scratch := pool.get()
	defer pool.put(scratch)
	scratch.ints = scratch.ints[:0]
	rows := s.rows[min(from, len(s.rows)):]
	if keep == nil {
		rows = s.rows
		from = 0
		buf = slices.Grow(buf, s.size)
	}
	plan := &scratch.plan
	plan.begin(s.list)
	seen := make([]bool, len(s.list))
	for i, id := range rows {
		if !seen[id] && (keep == nil || i < len(keep) && keep[i]) {
			seen[id] = true
			for k := range s.list[id].places {
				plan.want(s.list[id], k)
			}
		}
	}
	plan.finish(nil)
	rd, err := s.open(plan, nil, z, scratch)
	if err != nil {
		return buf, nil, err
	}
	frames := make([]frame, len(s.list))
	var lits []byte // of all frames
	ends = make([]uint32, len(s.rows))
	if keep != nil {
		rows = rows[:min(len(keep), len(rows))]
		s.seek(rd, from)
	}
	end := func(row int) {
		ends[row] = uint32(len(buf))
		buf = append(buf, '\n')
	}
	for i := range min(from, len(s.rows)) {
		end(i)
	}
	for k, id := range rows {
		if keep == nil || keep[k] {
			fr := &frames[id]
			if fr.ends == nil {
				*fr, lits = s.frame(s.list[id], rd, lits)
			}
			at := fr.begin
			for k, slot := range fr.slots {
				buf = append(buf, lits[at:fr.ends[k]]...)
				at = fr.ends[k]
				buf = rd.reads[slot].append(buf)
			}
			buf = append(buf, lits[at:fr.ends[len(fr.slots)]]...)
		} else {
			rd.skip(int(id))
		}
		end(from + k)
	}
	for i := from + len(rows); i < len(s.rows); i++ {
		end(i)
	}
	return buf, ends, nil
}

// seek moves variables, which are at their begin, on to a row.
func (s *skeletons) seek(rd openVars, row int) {
	rows := make([]int, len(s.list))
	for _, id := range s.rows[:min(row, len(s.rows))] {
		rows[id]++
	}
	for id, slots := range rd.moves {
		for _, slot := range slots {
			rd.reads[slot].next += rows[id]
		}
	}
	for slot := range rd.reads {
		v := &rd.reads[slot]
		switch {
		case v.bytes == nil:
		case v.widths == nil:
			v.at = v.next * ((v.width + 1) / 2)
		default:
			for _, w := range v.widths[:v.next] {
				v.at += int(w+1) / 2
			}
		}
	}
}

// frame is a skeleton whose variables that are the same in the whole block, like the
// date, have become parts of literals.
type frame struct {
	begin int   // of its first literal
	ends  []int // of its literals
	slots []int32
}

// frame returns the frame of tp; its literals are appended to lits.
func (s *skeletons) frame(tp *template, rd openVars, lits []byte) (frame, []byte) {
	n := len(tp.places)
	f := frame{begin: len(lits), ends: make([]int, 0, n+1), slots: make([]int32, 0, n)}
	lits = append(lits, tp.lits[0]...)
	for k := range tp.places {
		slot := rd.plan.slot(tp, k)
		if v := rd.reads[slot]; v.same {
			v.next, v.at = 0, 0
			lits = v.append(lits)
		} else {
			f.ends, f.slots = append(f.ends, len(lits)), append(f.slots, slot)
		}
		lits = append(lits, tp.lits[k+1]...)
	}
	f.ends = append(f.ends, len(lits))
	return f, lits
}

func (v *varReader) digits() int {
	if v.widths != nil {
		return int(v.widths[v.next])
	}
	return v.width
}

func (v *varReader) skip() {
	if v.bytes != nil {
		v.at += (v.digits() + 1) / 2
	}
	v.next++
}

const (
	zeros     = "000000000000000000"
	hexDigits = "0123456789abcdef"
)

// append appends the next variable.
func (v *varReader) append(dst []byte) []byte {
	dst = v.peek(dst)
	v.skip()
	return dst
}

// peek is append without moving on.
func (v *varReader) peek(dst []byte) []byte {
	switch v.kind {
	case varInt:
		dst = appendDecimal(dst, v.ints[v.next])
	case varPadded, varMixed:
		dst = appendPadded(dst, v.ints[v.next], v.digits())
	case varHex, varHexMix:
		n := v.digits()
		for _, c := range v.bytes[v.at : v.at+(n+1)/2] {
			dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
		}
		dst = dst[:len(dst)-n&1]
	default:
		dst = append(dst, v.texts[v.next]...)
	}
	return dst
}

// appendDecimal is strconv.AppendInt, faster for the small numbers of logs.
func appendDecimal(dst []byte, v int64) []byte {
	switch {
	case v < 0 || v >= 10_000:
		return strconv.AppendInt(dst, v, 10)
	case v < 10:
		return append(dst, '0'+byte(v))
	case v < 100:
		return append(dst, '0'+byte(v/10), '0'+byte(v%10))
	case v < 1000:
		return append(dst, '0'+byte(v/100), '0'+byte(v/10%10), '0'+byte(v%10))
	}
	return append(dst, '0'+byte(v/1000), '0'+byte(v/100%10), '0'+byte(v/10%10), '0'+byte(v%10))
}

// appendPadded appends v with leading zeros up to width digits.
func appendPadded(dst []byte, v int64, width int) []byte {
	if width == 2 && uint64(v) < 100 {
		return append(dst, '0'+byte(v/10), '0'+byte(v%10))
	}
	dst = append(dst, zeros[:width]...)
	for i := len(dst) - 1; v > 0 && i >= len(dst)-width; i-- {
		dst[i] = '0' + byte(v%10)
		v /= 10
	}
	return dst
}

// verdict is what a skeleton tells about a substring in lines printed from it.
type verdict uint8

const (
	never verdict = iota
	maybe
	sure
)
