package logql

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/pharos-o11y/pharos/internal/model"
)

// FieldType is what all values of a field look like.
type FieldType string

// The types of fields.
const (
	FieldInt      FieldType = "int"
	FieldFloat    FieldType = "float"
	FieldBoolean  FieldType = "boolean"
	FieldDuration FieldType = "duration"
	FieldBytes    FieldType = "bytes"
	FieldString   FieldType = "string"
)

// Field is a field that entries have, in metadata, by the parsers of their query, or in
// their lines.
type Field struct {
	Name    string
	Type    FieldType // of its first value
	Values  []string  // distinct, in the order found
	Parsers []string  // that find it in lines: json, logfmt; nil for metadata
	Path    []string  // keys of the JSON objects it lies in, if it was found by json
}

// FieldSet collects the fields of entries. The zero value is empty.
type FieldSet struct {
	byName map[string]*Field
	values map[[2]string]bool
	row    row
	json   jsonStage
	logfmt logfmtStage
}

// Add adds the fields of an entry of a result with Params.Categorize. Its line is read as
// JSON, or as logfmt if it is not.
func (s *FieldSet) Add(stream model.Labels, e *Entry) {
	if s.byName == nil {
		s.byName, s.values = map[string]*Field{}, map[[2]string]bool{}
	}
	for _, l := range e.Meta {
		s.add(l.Name, l.Value, "", nil)
	}
	for _, l := range e.Parsed {
		s.add(l.Name, l.Value, "", nil)
	}
	s.row.begin(e.Time, e.Line, stream)
	for _, l := range e.Meta {
		s.row.addMeta(l.Name, l.Value)
	}
	if s.json.run(&s.row); s.row.err == "" {
		paths := map[string][]string{}
		scan := jsonScan{src: e.Line}
		scan.space()
		if jsonPaths(&scan, &s.row, nil, paths) == nil {
			for _, l := range s.row.parsed {
				s.add(l.Name, l.Value, "json", paths[strings.TrimSuffix(l.Name, extractedSuffix)])
			}
			return
		}
	}
	s.row.begin(e.Time, e.Line, stream)
	for _, l := range e.Meta {
		s.row.addMeta(l.Name, l.Value)
	}
	s.logfmt.run(&s.row)
	for _, l := range s.row.parsed {
		s.add(l.Name, l.Value, "logfmt", nil)
	}
}

func (s *FieldSet) add(name, value, parser string, path []string) {
	if name == errorLabel || name == detailsLabel || name == preserveLabel {
		return
	}
	f := s.byName[name]
	if f == nil {
		f = &Field{Name: strings.Clone(name), Type: fieldType(value)}
		s.byName[f.Name] = f
	}
	if parser != "" && !slices.Contains(f.Parsers, parser) {
		f.Parsers = append(f.Parsers, parser)
	}
	if path != nil && f.Path == nil {
		f.Path = path
	}
	if key := [2]string{f.Name, value}; !s.values[key] {
		key[1] = strings.Clone(value)
		s.values[key] = true
		f.Values = append(f.Values, key[1])
	}
}

func fieldType(v string) FieldType {
	if _, err := strconv.ParseInt(v, 10, 64); err == nil {
		return FieldInt
	}
	if _, err := strconv.ParseFloat(v, 64); err == nil {
		return FieldFloat
	}
	if _, err := strconv.ParseBool(v); err == nil {
		return FieldBoolean
	}
	if _, err := time.ParseDuration(v); err == nil {
		return FieldDuration
	}
	if _, err := humanize.ParseBytes(v); err == nil {
		return FieldBytes
	}
	return FieldString
}

// Fields returns the fields, sorted by name.
func (s *FieldSet) Fields() []*Field {
	out := make([]*Field, 0, len(s.byName))
	for _, f := range s.byName {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *Field) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// jsonPaths adds, for each label that the json stage makes of the object at s, the keys it
// lies under. keys are those of the enclosing objects.
func jsonPaths(s *jsonScan, r *row, keys []string, out map[string][]string) error {
	if len(keys) > maxJSONDepth {
		return nil
	}
	s.pos++
	for {
		key, escaped, end, err := s.member()
		if err != nil || end {
			return err
		}
		if escaped {
			if key, err = r.unquote(key, true); err != nil {
				return err
			}
		}
		path := append(slices.Clone(keys), strings.Clone(key))
		if s.peek() == '{' {
			err = jsonPaths(s, r, path, out)
		} else if _, _, _, err = s.value(); err == nil {
			if name := pathName(path); out[name] == nil {
				out[name] = path
			}
		}
		if err != nil {
			return err
		}
		if err := s.next(); err != nil {
			return err
		}
	}
}

// pathName is the label name that the json stage makes of keys.
func pathName(keys []string) string {
	var b []byte
	for _, k := range keys {
		n := len(b)
		if n > 0 {
			b = append(b, '_')
		}
		b = appendName(b, k)
		if n > 0 && len(b) == n+1 {
			b = b[:n]
		}
	}
	if len(b) > 0 && isDigit(b[0]) {
		return "_" + string(b)
	}
	return string(b)
}
