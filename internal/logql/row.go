package logql

import (
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/model"
)

// The pseudo labels that carry an error of the pipeline.
const (
	errorLabel   = "__error__"
	detailsLabel = "__error_details__"
)

// Values of errorLabel.
const (
	errJSON     = "JSONParserErr"
	errLogfmt   = "LogfmtParserErr"
	errFilter   = "LabelFilterErr"
	errTemplate = "TemplateFormatErr"
	errSample   = "SampleExtractionErr"
)

const extractedSuffix = "_extracted"

// row is the state of one entry on its way through a pipeline. One row is reused for all
// entries; its strings may point into the batch they come from.
type row struct {
	time   int64
	line   string
	stream model.Labels
	found  *model.LineFields // of the line, if the store knows them
	size   int               // bytes of the line, if that is all there is of it
	meta   []model.Label     // structured metadata
	parsed []model.Label     // labels made by stages; values may be empty

	deleted []string // names removed by stages: they hide stream labels
	created nameSet  // names that stages have ever set: parsers do not set them again

	err, details string
	parserErr    bool // err was set by a parser

	text  []byte // decoded text of this entry, see keep
	names interner

	want  *wanted       // nil if every label is wanted
	early []valueFilter // filters to try as soon as a parser finds their label
	drop  bool          // an early filter dropped the entry

	noErr, noDetails bool // see dropErrors
}

// begin starts an entry. Its metadata is added with addMeta.
func (r *row) begin(time int64, line string, stream model.Labels) {
	r.time, r.line, r.stream, r.found = time, line, stream, nil
	r.size = 0
	r.meta, r.parsed, r.deleted = r.meta[:0], r.parsed[:0], r.deleted[:0]
	r.created.reset()
	r.err, r.details, r.parserErr = "", "", false
	if cap(r.text) > 1<<20 {
		r.text = nil
	}
	r.text = r.text[:0]
	r.drop = false
}

// dropErrors makes r ignore metadata called like the error labels that n, a drop, names.
func (r *row) dropErrors(n stageNode) {
	if d, ok := n.(*dropKeepNode); ok {
		for _, it := range d.items {
			r.noErr = r.noErr || it.name == errorLabel
			r.noDetails = r.noDetails || it.name == detailsLabel
		}
	}
}

// unwanted reports whether metadata called name is an error label that is dropped at once.
func (r *row) unwanted(name string) bool {
	return r.noErr && name == errorLabel || r.noDetails && name == detailsLabel
}

// addMeta adds a structured metadata field. One that is called like a stream label gets
// the collision suffix, so that it never hides it.
func (r *row) addMeta(name, value string) {
	switch {
	case r.unwanted(name):
	case name == errorLabel:
		r.err = value
	case name == detailsLabel:
		r.details = value
	default:
		if index(r.stream, name) >= 0 {
			name = r.names.extracted(name)
		}
		r.meta = append(r.meta, model.Label{Name: name, Value: value})
	}
}

func index(ls []model.Label, name string) int {
	for i := range ls {
		if ls[i].Name == name {
			return i
		}
	}
	return -1
}

// get returns the current value of label name, of any category.
func (r *row) get(name string) (string, bool) {
	if i := index(r.meta, name); i >= 0 {
		return r.meta[i].Value, true
	}
	if i := index(r.parsed, name); i >= 0 {
		return r.parsed[i].Value, true
	}
	if len(r.deleted) > 0 && slices.Contains(r.deleted, name) {
		return "", false
	}
	if i := index(r.stream, name); i >= 0 {
		return r.stream[i].Value, true
	}
	return "", false
}

// set gives the parsed label name a value, hiding stream labels and metadata.
func (r *row) set(name, value string) {
	if i := index(r.meta, name); i >= 0 {
		r.meta = slices.Delete(r.meta, i, i+1)
	}
	if r.created.add(name) {
		r.parsed = append(r.parsed, model.Label{Name: name, Value: value})
	} else if i := index(r.parsed, name); i >= 0 {
		r.parsed[i].Value = value
	} else {
		r.parsed = append(r.parsed, model.Label{Name: name, Value: value})
	}
}

// remove deletes the label name.
func (r *row) remove(name string) {
	if i := index(r.meta, name); i >= 0 {
		r.meta = slices.Delete(r.meta, i, i+1)
	}
	if i := index(r.parsed, name); i >= 0 {
		r.parsed = slices.Delete(r.parsed, i, i+1)
	}
	if index(r.stream, name) >= 0 && !slices.Contains(r.deleted, name) {
		r.deleted = append(r.deleted, name)
	}
}

// target returns the name under which a parser stores name.
func (r *row) target(name string) string {
	if index(r.stream, name) >= 0 || index(r.meta, name) >= 0 {
		return r.names.extracted(name)
	}
	return name
}

// extract sets the label that a parser found, unless an earlier extraction won or nobody
// wants it. It reports whether the parser should go on.
func (r *row) extract(name, value string) bool {
	name = r.target(name)
	if r.want != nil && !r.want.has(name) || !r.created.add(name) {
		return true
	}
	if i := index(r.meta, name); i >= 0 { // name has got the suffix
		r.meta = slices.Delete(r.meta, i, i+1)
	}
	r.parsed = append(r.parsed, model.Label{Name: name, Value: value})
	for i := range r.early {
		if f := &r.early[i]; f.name == name && !f.test.test(r, value) {
			r.drop = true
			return false
		}
	}
	return r.want == nil || !r.want.all(r)
}

// fail records an error; it overwrites an earlier one.
func (r *row) fail(kind, details string) {
	r.err, r.details, r.parserErr = kind, details, false
}

// failParser records an error of a parser.
func (r *row) failParser(kind, details string) {
	r.err, r.details, r.parserErr = kind, details, true
}

// keep returns the bytes that were appended to r.text since it had length n as a string
// that is valid until the next begin.
func (r *row) keep(n int) string { return bytesView(r.text[n:]) }

// appendStream appends the stream labels that no stage removed or overwrote.
func (r *row) appendStream(dst []model.Label) []model.Label {
	if len(r.deleted) == 0 && len(r.parsed) == 0 {
		return append(dst, r.stream...)
	}
	for _, l := range r.stream {
		if !slices.Contains(r.deleted, l.Name) && index(r.parsed, l.Name) < 0 {
			dst = append(dst, l)
		}
	}
	return dst
}

// appendParsed appends the parsed labels and the error labels.
func (r *row) appendParsed(dst []model.Label) []model.Label {
	dst = append(dst, r.parsed...)
	if r.err != "" {
		dst = append(dst, model.Label{Name: errorLabel, Value: r.err})
	}
	if r.details != "" {
		dst = append(dst, model.Label{Name: detailsLabel, Value: r.details})
	}
	return dst
}

// appendAll appends every label, sorted by name.
func (r *row) appendAll(dst []model.Label) []model.Label {
	n := len(dst)
	dst = r.appendStream(dst)
	if len(r.meta) == 0 && len(r.parsed) == 0 && r.err == "" && r.details == "" {
		return dst
	}
	dst = append(dst, r.meta...)
	dst = r.appendParsed(dst)
	sortLabels(dst[n:])
	return dst
}

func sortLabels(ls []model.Label) {
	slices.SortFunc(ls, func(a, b model.Label) int { return strings.Compare(a.Name, b.Name) })
}

// nameSet is a set of names that is cheap while it is small.
type nameSet struct {
	list []string
	set  map[string]struct{} // used once list is long
}

const nameSetList = 24

func (s *nameSet) reset() {
	s.list = s.list[:0]
	clear(s.set)
}

// add reports whether name is new.
func (s *nameSet) add(name string) bool {
	if len(s.set) == 0 {
		for i := range s.list {
			if s.list[i] == name {
				return false
			}
		}
		if len(s.list) < nameSetList {
			s.list = append(s.list, name)
			return true
		}
		if s.set == nil {
			s.set = make(map[string]struct{})
		}
		for _, n := range s.list {
			s.set[n] = struct{}{}
		}
	}
	if _, ok := s.set[name]; ok {
		return false
	}
	s.set[name] = struct{}{}
	return true
}

// interner keeps one copy of each label name that lines contain.
type interner struct {
	names    map[string]string
	suffixed map[string]string
}

const (
	maxInterned    = 16384
	maxInternedLen = 256
)

// name returns b as a string that stays valid.
func (in *interner) name(b []byte) string {
	if s, ok := in.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if in.names == nil {
		in.names = make(map[string]string)
	}
	if len(in.names) < maxInterned && len(s) <= maxInternedLen {
		in.names[s] = s
	}
	return s
}

// extracted returns name with the collision suffix.
func (in *interner) extracted(name string) string {
	if s, ok := in.suffixed[name]; ok {
		return s
	}
	name = strings.Clone(name)
	s := name + extractedSuffix
	if in.suffixed == nil {
		in.suffixed = make(map[string]string)
	}
	if len(in.suffixed) < maxInterned {
		in.suffixed[name] = s
	}
	return s
}

// wanted is the labels that a metric query needs. bases are the names that a line may
// give them: x for x_extracted too.
type wanted struct{ names, bases []string }

func newWanted(names []string) *wanted {
	w := &wanted{}
	for _, n := range names {
		if slices.Contains(w.names, n) {
			continue
		}
		w.names = append(w.names, n)
		w.bases = append(w.bases, n)
		if base, ok := strings.CutSuffix(n, extractedSuffix); ok {
			w.bases = append(w.bases, base)
		}
	}
	return w
}

func (w *wanted) has(name string) bool { return slices.Contains(w.names, name) }

// base returns the wanted name that equals b, "" if there is none.
func (w *wanted) base(b []byte) string {
	for _, n := range w.bases {
		if n == string(b) {
			return n
		}
	}
	return ""
}

// all reports whether r has got all wanted labels from parsers.
func (w *wanted) all(r *row) bool {
	if len(r.parsed) < len(w.names) {
		return false
	}
	for _, n := range w.names {
		if index(r.parsed, n) < 0 {
			return false
		}
	}
	return true
}
