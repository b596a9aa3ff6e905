package logstore

import (
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
)

// Where few lines of a block pass a filter, printing them takes the variables of these and no
// others: in each column their number among the rows whose template has it.

// rowsOf returns the rows that keep[i-from] wants if they are few of n, ok is false if not.
func rowsOf(keep []bool, from, n int) (rows []int32, ok bool) {
	if keep == nil {
		return nil, false
	}
	for i, k := range keep {
		if k {
			if rows = append(rows, int32(from+i)); len(rows)*fewLines > n {
				return nil, false
			}
		}
	}
	return rows, true
}

// fewLines is the share of rows from which the variables of their lines are picked: one in so
// many.
const fewLines = 32

// renderFew is render for a few rows, which ascend.
func (s *skeletons) renderFew(few []int32, z *codec.Zstd, pool *bufferPool, buf []byte) (txt []byte, ends []uint32, err error) {
	scratch := pool.get()
	defer pool.put(scratch)
	scratch.ints = scratch.ints[:0]
	plan := &scratch.plan
	plan.begin(s.list)
	for _, row := range few {
		tp := s.list[s.rows[row]]
		for k := range tp.places {
			plan.want(tp, k)
		}
	}
	plan.finish(nil)
	rd, err := s.openAt(plan, few, z, scratch)
	if err != nil {
		return buf, nil, err
	}
	ends = make([]uint32, len(s.rows))
	next := 0
	for i := range ends {
		if next < len(few) && int(few[next]) == i {
			tp := s.list[s.rows[i]]
			buf = append(buf, tp.lits[0]...)
			for k := range tp.places {
				buf = rd.reads[plan.slot(tp, k)].append(buf)
				buf = append(buf, tp.lits[k+1]...)
			}
			next++
		}
		ends[i] = uint32(len(buf))
		buf = append(buf, '\n')
	}
	return buf, ends, nil
}

// openAt is open for the variables of a few rows, which ascend.
func (s *skeletons) openAt(p *varPlan, few []int32, z *codec.Zstd, scratch *buffer) (openVars, error) {
	rd, used, err := s.fetchPlan(p, nil, scratch)
	if err != nil {
		return rd, err
	}
	at := s.ranks(rd, few)
	for slot, n := range used {
		if n == 0 {
			continue
		}
		if rd.reads[slot], err = pickVars(s.columnOf(p, slot), n, at[slot], z, &scratch.picker); err != nil {
			return rd, err
		}
	}
	return rd, nil
}

// ranks returns, for each slot, which of its variables are those of the rows few.
func (s *skeletons) ranks(rd openVars, few []int32) [][]int32 {
	at := make([][]int32, len(rd.reads))
	before := make([]int32, len(rd.reads)) // variables of each slot in front of the row
	rows := make([]int32, len(s.list))     // of each template that before has not
	row := 0
	for _, next := range few {
		for _, id := range s.rows[row:next] {
			rows[id]++
		}
		row = int(next)
		for id, n := range rows {
			if n > 0 {
				for _, slot := range rd.moves[id] {
					before[slot] += n
				}
				rows[id] = 0
			}
		}
		for _, slot := range rd.moves[s.rows[next]] {
			at[slot] = append(at[slot], before[slot])
		}
	}
	return at
}

// pickVars is readVars for the variables at a few positions, which ascend.
func pickVars(data []byte, n int, at []int32, z *codec.Zstd, p *codec.Picker) (varReader, error) {
	r := codec.NewReader(data)
	v := varReader{kind: r.Byte()}
	var have int
	var err error
	switch v.kind {
	case varText:
		v.texts, have, err = p.Strings(nil, r.Rest(), at, z)
	case varInt, varPadded, varMixed:
		if v.kind == varPadded {
			v.width = r.Count(maxDigits)
		}
		rest := r.Rest()
		if v.kind == varMixed {
			if v.widths, have, rest, err = p.Ints(nil, rest, at); err != nil || have != n {
				break
			}
		}
		v.ints, have, _, err = p.Ints(make([]int64, 0, len(at)), rest, at)
	default:
		all, err := readVars(data, n, z, nil)
		if err != nil {
			return v, err
		}
		return all.pick(at), nil
	}
	if err != nil {
		return v, err
	}
	if have != n || slices.ContainsFunc(v.widths, func(w int64) bool { return w < 1 || w > maxDigits }) {
		r.Fail("%d variables, want %d", have, n)
	}
	return v, r.Err()
}

// pick returns the hex digits at a few positions, which ascend.
func (v *varReader) pick(at []int32) varReader {
	out := varReader{kind: v.kind, width: v.width}
	for _, i := range at {
		for v.next < int(i) {
			v.skip()
		}
		n := v.digits()
		if v.widths != nil {
			out.widths = append(out.widths, int64(n))
		}
		out.bytes = append(out.bytes, v.bytes[v.at:v.at+(n+1)/2]...)
	}
	return out
}
