package logstore

import (
	"fmt"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/store"
)

// What a query wants of the variables of lines is the same in all blocks of a part: which
// they are, and which of them move on with a row of a template, is found out once.

// varPlan is variables that are read together, each with a slot. Variables of one place
// share it, also where a template does not ask for them.
type varPlan struct {
	list   []*template
	slots  []int32   // of each place, plus one
	places []int32   // of each slot
	moves  [][]int32 // of each template, the slots that move on with a row of it
	all    []int32   // memory of moves
	marks  []uint8   // of each template, of a pruner whose needles all are to keep lines; else nil
}

// mark returns the mark of template id of a block, of which ids are the numbers in p, if it
// says which templates have the same needles, else notMet.
func (p *varPlan) mark(ids []uint32, id int) uint8 {
	if p.marks == nil || ids == nil || p.marks[ids[id]] < markClass {
		return notMet
	}
	return p.marks[ids[id]]
}

// begin empties p for the templates list.
func (p *varPlan) begin(list []*template) {
	last := int32(-1)
	for _, tp := range list {
		for _, at := range tp.places {
			last = max(last, at)
		}
	}
	p.list, p.places, p.slots = list, p.places[:0], zeroed(p.slots, int(last+1))
}

// want adds variable k of tp.
func (p *varPlan) want(tp *template, k int) {
	if at := tp.places[k]; p.slots[at] == 0 {
		p.places = append(p.places, at)
		p.slots[at] = int32(len(p.places))
	}
}

// slot returns the slot of variable k of tp, -1 if nobody wants it.
func (p *varPlan) slot(tp *template, k int) int32 { return p.slots[tp.places[k]] - 1 }

// finish ends p. Blocks have only templates that met holds, all if that is nil.
func (p *varPlan) finish(met func(id int) bool) {
	p.moves, p.all = zeroed(p.moves, len(p.list)), p.all[:0]
	if len(p.places) == 0 {
		return
	}
	for id, tp := range p.list {
		if met != nil && !met(id) {
			continue
		}
		from := len(p.all)
		for _, at := range tp.places {
			if slot := p.slots[at]; slot > 0 {
				p.all = append(p.all, slot-1)
			}
		}
		p.moves[id] = p.all[from:len(p.all):len(p.all)]
	}
}

// openVars is the variables of a plan in a block, read from front to back.
type openVars struct {
	plan  *varPlan
	reads []varReader // of each slot
	moves [][]int32   // of each template of the block, as in the plan
}

// open reads the variables of p, into the memory of scratch. ids says which template of p
// each of s is; nil means the same.
func (s *skeletons) open(p *varPlan, ids []uint32, z *codec.Zstd, scratch *buffer) (openVars, error) {
	rd, used, err := s.fetchPlan(p, ids, scratch)
	if err != nil {
		return rd, err
	}
	for slot, n := range used {
		if n == 0 {
			continue
		}
		if rd.reads[slot], err = readVars(s.columnOf(p, slot), n, z, scratch.room(n)); err != nil {
			return rd, err
		}
	}
	return rd, nil
}

// fetchPlan reads the columns of the variables of p, but does not decode them. used is how
// many variables each slot has.
func (s *skeletons) fetchPlan(p *varPlan, ids []uint32, scratch *buffer) (rd openVars, used []int, err error) {
	scratch.used, scratch.vars = zeroed(scratch.used, len(p.places)), zeroed(scratch.vars, len(p.places))
	rd = openVars{plan: p, reads: scratch.vars, moves: p.moves}
	if ids != nil {
		scratch.moves = zeroed(scratch.moves, len(ids))
		rd.moves = scratch.moves
		for i, id := range ids {
			rd.moves[i] = p.moves[id]
		}
	}
	used = scratch.used
	for id, slots := range rd.moves {
		for _, slot := range slots {
			used[slot] += s.counts[id]
		}
	}
	cols := scratch.columns[:0]
	for slot, n := range used {
		if n == 0 {
			continue
		}
		c := s.columnAt(p.places[slot])
		if c < 0 {
			return rd, used, fmt.Errorf("variables without a column: %w", store.ErrCorrupt)
		}
		cols = append(cols, c)
	}
	scratch.columns = cols
	return rd, used, s.fetch(cols)
}

// columnOf returns the column of a slot of p.
func (s *skeletons) columnOf(p *varPlan, slot int) []byte { return s.vars[s.columnAt(p.places[slot])] }

// skip moves on over a row of template id.
func (rd *openVars) skip(id int) {
	for _, slot := range rd.moves[id] {
		rd.reads[slot].skip()
	}
}

// rewind moves back to the begin.
func (rd *openVars) rewind() {
	for i := range rd.reads {
		rd.reads[i].next, rd.reads[i].at = 0, 0
	}
}
