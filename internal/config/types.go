package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// Duration is a time.Duration written as in Prometheus: 30d, 1h30m, 200ms.
type Duration time.Duration

// UnmarshalYAML implements yaml.Unmarshaler.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	p, err := model.ParseDuration(n.Value)
	if err != nil {
		return fmt.Errorf("line %d: %q is not a duration such as 30d, 5m or 200ms", n.Line, n.Value)
	}
	*d = Duration(p)
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (d Duration) MarshalYAML() (any, error) { return d.String(), nil }

// String returns the form that UnmarshalYAML reads.
func (d Duration) String() string { return model.Duration(d).String() }

// Time is a time in Unix nanoseconds, written as in RFC 3339; 0 means none.
type Time int64

// UnmarshalYAML implements yaml.Unmarshaler.
func (t *Time) UnmarshalYAML(n *yaml.Node) error {
	if n.Value == "" || n.Value == "0" {
		*t = 0
		return nil
	}
	at, err := time.Parse(time.RFC3339, n.Value)
	if err != nil || at.Year() < 1700 || at.Year() > 2200 {
		return fmt.Errorf("line %d: %q is not a time such as 2026-01-02T15:04:05Z", n.Line, n.Value)
	}
	*t = Time(at.UnixNano())
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (t Time) MarshalYAML() (any, error) { return t.String(), nil }

// String returns the form that UnmarshalYAML reads.
func (t Time) String() string {
	if t == 0 {
		return "0"
	}
	return t.Time().Format(time.RFC3339Nano)
}

// Time returns t as Go has it, the zero time for none.
func (t Time) Time() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(t)).UTC()
}

// Bytes is a size written as 64MiB, 10GB or a plain number of bytes.
type Bytes int64

// UnmarshalYAML implements yaml.Unmarshaler.
func (b *Bytes) UnmarshalYAML(n *yaml.Node) error {
	v, err := humanize.ParseBytes(n.Value)
	if err != nil || v > 1<<60 {
		return fmt.Errorf("line %d: %q is not a size such as 64MiB, 10GB or 4096", n.Line, n.Value)
	}
	*b = Bytes(v)
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (b Bytes) MarshalYAML() (any, error) { return b.String(), nil }

// String returns the form that UnmarshalYAML reads, exactly.
func (b Bytes) String() string {
	for _, u := range []struct {
		name string
		size Bytes
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if b != 0 && b%u.size == 0 {
			return fmt.Sprintf("%d%s", b/u.size, u.name)
		}
	}
	return fmt.Sprintf("%d", int64(b))
}

// Pipeline is the Collector configuration, uninterpreted. Collector variables such as
// ${env:NAME} are the Collector's to expand.
type Pipeline struct{ node *yaml.Node }

// UnmarshalYAML implements yaml.Unmarshaler.
func (p *Pipeline) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: pipeline is not a mapping; it holds a Collector configuration", n.Line)
	}
	p.node = n
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (p Pipeline) MarshalYAML() (any, error) { return p.node, nil }

// IsZero reports whether there is none.
func (p Pipeline) IsZero() bool { return p.node == nil }

// YAML returns the Collector configuration as a document of its own, "" if there is none.
func (p Pipeline) YAML() (string, error) {
	if p.node == nil {
		return "", nil
	}
	var b strings.Builder
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(p.node); err != nil {
		return "", fmt.Errorf("encode pipeline: %w", err)
	}
	return b.String(), nil
}
