package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ErrConfig is wrapped by every error about the content of a configuration.
var ErrConfig = errors.New("configuration")

// Parse reads a YAML document. Keys that do not exist are errors that name the line and
// the nearest key. In values outside of pipeline, ${NAME} and ${NAME:-default} are
// replaced by what env returns. What the document leaves out is as in [Default]; the
// result is checked.
func Parse(data []byte, env func(name string) (string, bool)) (*Config, error) {
	c := Default()
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if len(doc.Content) > 0 && doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%w: line %d: want keys such as listen: 127.0.0.1:4319", ErrConfig, doc.Content[0].Line)
	}
	if len(doc.Content) > 0 {
		root := doc.Content[0]
		errs := unknownKeys(root, reflect.TypeFor[Config](), "")
		errs = append(errs, expand(root, env)...)
		if err := errors.Join(errs...); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		if err := root.Decode(&c); err != nil {
			return nil, fmt.Errorf("%w: %s", ErrConfig, strings.TrimPrefix(err.Error(), "yaml: "))
		}
		if err := c.Logs.decodeTenants(root); err != nil {
			return nil, fmt.Errorf("%w: %s", ErrConfig, strings.TrimPrefix(err.Error(), "yaml: "))
		}
	}
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return &c, nil
}

// fields returns the YAML keys of a struct type.
func fields(t reflect.Type) map[string]reflect.Type {
	m := map[string]reflect.Type{}
	for i := range t.NumField() {
		m[t.Field(i).Tag.Get("yaml")] = t.Field(i).Type
	}
	return m
}

// isSection reports whether t is a struct of keys, rather than a value of its own.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[Pipeline]()
}

// unknownKeys returns an error for each key below n that t does not have.
func unknownKeys(n *yaml.Node, t reflect.Type, path string) []error {
	if t.Kind() == reflect.Map && n.Kind == yaml.MappingNode {
		var errs []error
		for i := 0; i+1 < len(n.Content); i += 2 {
			errs = append(errs, unknownKeys(n.Content[i+1], t.Elem(), path+n.Content[i].Value+".")...)
		}
		return errs
	}
	if t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode {
		var errs []error
		for i, item := range n.Content {
			errs = append(errs, unknownKeys(item, t.Elem(), fmt.Sprintf("%s[%d].", strings.TrimSuffix(path, "."), i))...)
		}
		return errs
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if !isSection(t) || n.Kind != yaml.MappingNode {
		return nil
	}
	known := fields(t)
	var errs []error
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		ft, ok := known[key.Value]
		if !ok {
			errs = append(errs, fmt.Errorf("line %d: unknown key %s%s%s", key.Line, path, key.Value, cmp.Or(ofLoki(t, key.Value), suggest(key.Value, known))))
			continue
		}
		errs = append(errs, unknownKeys(n.Content[i+1], ft, path+key.Value+".")...)
	}
	return errs
}

// suggest names the key that key was probably meant to be.
func suggest(key string, known map[string]reflect.Type) string {
	best, dist := "", 4
	for k := range known {
		if d := distance(key, k); d < dist || d == dist && k < best {
			best, dist = k, d
		}
	}
	if best == "" || dist > 3 {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// distance is the edit distance of a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := prev
			if a[i] != b[j] {
				cost = 1 + min(prev, row[j], row[j+1])
			}
			prev, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}`)

// expand replaces variables in every scalar below root except in pipeline.
func expand(root *yaml.Node, env func(string) (string, bool)) []error {
	var errs []error
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			n.Value = variable.ReplaceAllStringFunc(n.Value, func(s string) string {
				m := variable.FindStringSubmatch(s)
				v, ok := env(m[1])
				if !ok && m[2] == "" {
					errs = append(errs, fmt.Errorf("line %d: the environment has no variable %s; set it, or give a default: ${%s:-value}", n.Line, m[1], m[1]))
				}
				if !ok {
					v = m[3]
				}
				return v
			})
			if n.Style == 0 {
				n.Tag = "" // the type is that of the value, not of the text before expansion
			}
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value != "pipeline" {
			walk(root.Content[i+1])
		}
	}
	return errs
}

// Changed returns the keys of the first level in which a and b differ.
func Changed(a, b *Config) []string {
	var keys []string
	va, vb := reflect.ValueOf(*a), reflect.ValueOf(*b)
	for i := range va.NumField() {
		f := va.Type().Field(i)
		if f.Type != reflect.TypeFor[Pipeline]() && !reflect.DeepEqual(va.Field(i).Interface(), vb.Field(i).Interface()) {
			keys = append(keys, f.Tag.Get("yaml"))
		}
	}
	return keys
}

// Print writes c as YAML, defaults included.
func Print(w io.Writer, c *Config) error {
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(c); err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	return enc.Close()
}

// Docs writes the reference of all keys as Markdown, with defaults.
func Docs(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("# Configuration\n\nGenerated by `pharos config docs`. Every key is optional. `pharos config check FILE` checks a file.\n\n")
	b.WriteString("| key | default | meaning |\n|---|---|---|\n")
	d := Default()
	docRows(&b, reflect.ValueOf(d), "")
	_, err := w.Write(b.Bytes())
	return err
}

func docRows(b *bytes.Buffer, v reflect.Value, path string) {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		key := path + f.Tag.Get("yaml")
		switch {
		case isSection(f.Type):
			fmt.Fprintf(b, "| **`%s`** | | %s |\n", key, f.Tag.Get("doc"))
			docRows(b, v.Field(i), key+".")
		case f.Type.Kind() == reflect.Map && isSection(f.Type.Elem()):
			fmt.Fprintf(b, "| **`%s`** | | %s |\n", key, f.Tag.Get("doc"))
			docRows(b, reflect.Zero(f.Type.Elem()), key+".NAME.")
		case f.Type == reflect.TypeFor[Pipeline]():
			fmt.Fprintf(b, "| `%s` | | %s |\n", key, f.Tag.Get("doc"))
		default:
			fmt.Fprintf(b, "| `%s` | `%v` | %s |\n", key, v.Field(i).Interface(), f.Tag.Get("doc"))
		}
	}
}
