package logrules

import (
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
)

// Entries come by the thousand with the same fields in the same order. A form is what
// follows from their names: how they are normalised and sorted, which are given twice, and
// which says the level. The builder takes each entry to have the form of the one before,
// and compares names until one differs.

// form is what follows from the names of an entry's fields. The places of fields are their
// numbers as they were given, then that of the level which the builder adds, and then those
// of the shared fields.
type form struct {
	given   []string // names of fields, as they came
	sharing *sharing

	names  *logmeta.Names // nil for none
	order  []int32        // for each name with a value of the entry's own its place
	shared []int32        // for each name which of the shared fields it is, or -1; nil if none is

	detected int // place of detected_level; these are -1 for none
	stated   int // place of the field that states the level
	severity int // place of severity_number

	fields *logmeta.Fields
	scope  int // the generation of shared values in fields
}

// level is the place of the level.
func (f *form) level() int { return len(f.given) }

// sharing is the names of shared fields.
type sharing struct{ names []string }

// entry is the entry at hand.
type entry struct {
	form   *form         // that it has so far
	draft  form          // names of an entry of no known form
	own    []string      // values of its fields
	shared []model.Label // fields of all entries
	stale  bool          // shared changed since sharing was looked for
}

func (e *entry) reset() {
	if e.form == &e.draft {
		e.form = nil
	}
	clear(e.draft.given[:cap(e.draft.given)]) // like the others it shares the memory of the request
	clear(e.own[:cap(e.own)])
	clear(e.shared[:cap(e.shared)])
	e.draft.given, e.own, e.shared, e.stale = e.draft.given[:0], e.own[:0], e.shared[:0], true
}

// value returns the value at a place other than the level's.
func (e *entry) value(f *form, place int) string {
	if place < len(f.given) {
		return e.own[place]
	}
	return e.shared[place-f.level()-1].Value
}

// forms is the forms of entries before.
type forms struct {
	known    []*form
	oldest   int // of known
	sharings []*sharing
	sharing  *sharing // of the entry at hand; nil if it shares nothing
	scope    int      // generation of shared values
}

// Bounds of forms that are kept, and of the names in one that is.
const (
	maxForms     = 32
	maxFormNames = 256
	maxFormBytes = 16 << 10
)

// reset lets go of the memory of a request.
func (fs *forms) reset() {
	for _, f := range fs.known {
		if f.shared != nil {
			f.fields = nil
		}
	}
}

// turn makes room for a field that the form of the entry at hand does not go on with.
func (b *Builder) turn(name string) {
	k := len(b.own)
	if b.form != &b.draft {
		b.settle()
		var given []string
		if b.form != nil {
			given = b.form.given[:k]
		}
		for _, f := range b.known {
			if f.sharing == b.sharing && len(f.given) > k && f.given[k] == name && slices.Equal(f.given[:k], given) {
				b.form = f
				return
			}
		}
		b.draft.given = append(b.draft.given[:0], given...)
		b.form = &b.draft
	}
	b.draft.given = append(b.draft.given[:k], name)
}

// settle finds the names of shared fields.
func (b *Builder) settle() {
	if !b.stale {
		return
	}
	b.stale = false
	b.scope++
	if len(b.shared) == 0 {
		b.sharing = nil
		return
	}
	same := func(s *sharing) bool {
		return slices.EqualFunc(s.names, b.shared, func(name string, l model.Label) bool { return name == l.Name })
	}
	if b.sharing != nil && same(b.sharing) {
		return
	}
	if i := slices.IndexFunc(b.sharings, same); i >= 0 {
		b.sharing = b.sharings[i]
		return
	}
	b.sharing = &sharing{}
	for _, l := range b.shared {
		b.sharing.names = append(b.sharing.names, strings.Clone(l.Name))
	}
	if len(b.sharings) == maxForms {
		b.sharings = b.sharings[:0]
	}
	b.sharings = append(b.sharings, b.sharing)
}

// formOf returns the form of the entry at hand, which is complete.
func (b *Builder) formOf() *form {
	b.settle()
	n := len(b.own)
	if f := b.form; f != nil && f != &b.draft && len(f.given) == n && f.sharing == b.sharing {
		return f
	}
	var given []string
	if b.form != nil {
		given = b.form.given[:n]
	}
	for _, f := range b.known {
		if f.sharing == b.sharing && slices.Equal(f.given, given) {
			b.form = f
			return f
		}
	}
	b.form = b.newForm(given)
	return b.form
}

// newForm makes a form of the names of an entry, and keeps it.
func (b *Builder) newForm(given []string) *form {
	f := &form{given: make([]string, len(given)), sharing: b.sharing, detected: -1, stated: -1, severity: -1}
	size := 0
	type field struct {
		name  string
		place int
	}
	fields := make([]field, 0, len(given)+1+len(b.shared))
	for i, name := range given {
		f.given[i] = strings.Clone(name)
		size += len(name)
		if name = b.lookUp(name); name != "" {
			fields = append(fields, field{name, i})
		}
	}
	for i := range b.shared {
		fields = append(fields, field{b.shared[i].Name, f.level() + 1 + i})
	}
	if b.rules == nil || !b.rules.NoLevels {
		best := noRank
		for _, x := range fields {
			if x.name == detectedLevel && f.detected < 0 {
				f.detected = x.place
			}
			if x.name == severityNumber && f.severity < 0 {
				f.severity = x.place
			}
			if rank := b.rules.rank(x.name); rank < best {
				best, f.stated = rank, x.place
			}
		}
		if f.detected < 0 {
			f.detected = f.level()
			fields = append(fields, field{detectedLevel, f.detected})
		}
	}
	slices.SortStableFunc(fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	fields = slices.CompactFunc(fields, func(a, b field) bool { return a.name == b.name })
	names, shared := make([]string, len(fields)), make([]int32, len(fields))
	for i, x := range fields {
		names[i], shared[i] = x.name, -1
		if x.place > f.level() {
			shared[i], f.shared = int32(x.place-f.level()-1), shared
		} else {
			f.order = append(f.order, int32(x.place))
		}
	}
	if len(names) > 0 {
		f.names = logmeta.NewNames(names)
	}
	if len(given) <= maxFormNames && size <= maxFormBytes {
		b.keep(f)
	}
	return f
}

// keep remembers f in place of the oldest form.
func (fs *forms) keep(f *form) {
	if len(fs.known) < maxForms {
		fs.known = append(fs.known, f)
		return
	}
	fs.known[fs.oldest] = f
	fs.oldest = (fs.oldest + 1) % maxForms
}

// fieldsOf returns what the metadata of entries of form f has in common.
func (b *Builder) fieldsOf(f *form) *logmeta.Fields {
	if f.fields != nil && (f.shared == nil || f.scope == b.scope) {
		return f.fields
	}
	var shared []string
	if f.shared != nil {
		shared = make([]string, len(f.shared))
		for i, k := range f.shared {
			if k < 0 {
				continue
			}
			shared[i] = b.shared[k].Value
			if f.detected == f.level()+1+int(k) {
				shared[i] = normaliseLevel(shared[i])
			}
		}
	}
	f.fields, f.scope = logmeta.NewFields(f.names, shared), b.scope
	return f.fields
}
