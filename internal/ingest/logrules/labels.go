package logrules

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pharos-o11y/pharos/internal/model"
)

// ParseLabels reads a stream's labels in the notation of Prometheus, {a="b", c="d"}.
// Order and white space are free; values are Go strings in double quotes. It does not
// check names or limits: [NewStream] does. An error is a [*LabelError].
func ParseLabels(s string) (model.Labels, error) {
	p := labelParser{s: s}
	ls, err := p.labels()
	if err != nil {
		return nil, labelErrorf("couldn't parse labels %q: at character %d: %w; the form is {name=\"value\", ...}", s, p.i+1, err)
	}
	return ls, nil
}

type labelParser struct {
	s string
	i int
}

func (p *labelParser) space() {
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.i]) >= 0 {
		p.i++
	}
}

// accept skips white space and then c, if it is there.
func (p *labelParser) accept(c byte) bool {
	p.space()
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

func (p *labelParser) labels() (model.Labels, error) {
	if !p.accept('{') {
		return nil, fmt.Errorf("missing {")
	}
	var ls model.Labels
	for !p.accept('}') {
		if len(ls) > 0 && !p.accept(',') {
			return nil, fmt.Errorf("missing , or }")
		}
		if len(ls) > 0 && p.accept('}') { // a trailing comma
			break
		}
		l, err := p.label()
		if err != nil {
			return nil, err
		}
		ls = append(ls, l)
	}
	if p.space(); p.i < len(p.s) {
		return nil, fmt.Errorf("text after }")
	}
	return ls, nil
}

func (p *labelParser) label() (l model.Label, err error) {
	p.space()
	from := p.i
	for p.i < len(p.s) && strings.IndexByte("=,{}\"' \t\r\n", p.s[p.i]) < 0 {
		p.i++
	}
	l.Name = p.s[from:p.i]
	if l.Name == "" {
		return l, fmt.Errorf("missing label name")
	}
	if !p.accept('=') {
		return l, fmt.Errorf("missing = after label name %s", l.Name)
	}
	p.space()
	quoted, err := strconv.QuotedPrefix(p.s[p.i:])
	if err != nil {
		return l, fmt.Errorf("the value of label %s is not a quoted string", l.Name)
	}
	if l.Value, err = strconv.Unquote(quoted); err != nil {
		return l, fmt.Errorf("unquote the value of label %s: %w", l.Name, err)
	}
	p.i += len(quoted)
	return l, nil
}
