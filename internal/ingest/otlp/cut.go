package otlp

import (
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pharos-o11y/pharos/internal/store/spans"
)

// This file cuts long attributes of traces: a statement of a megabyte is no use to anyone
// and would be in every answer. It is Tempo's rule, which leaves the elements of arrays and
// maps alone.

// newCut registers the counter of attributes that were cut.
func newCut(reg prometheus.Registerer) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pharos_ingest_attributes_cut_total", Help: "Attributes of traces whose key or value was cut to limits.max_span_attribute.",
	}, []string{"scope"})
	if reg != nil {
		reg.MustRegister(c)
	}
	return c
}

// cutAttributes cuts keys and string values of more than most bytes; 0 leaves all of them.
func cutAttributes(b *spans.Batch, most int, cut *prometheus.CounterVec) {
	if most <= 0 || !anyLonger(b.Attrs, most) {
		return
	}
	in := func(scope string, r spans.Range) {
		if n := cutAll(b.AttrsOf(r), most); n > 0 {
			cut.WithLabelValues(scope).Add(float64(n))
		}
	}
	for i := range b.Resources {
		in("resource", b.Resources[i].Attrs)
	}
	for i := range b.Scopes {
		in("scope", b.Scopes[i].Attrs)
	}
	for i := range b.Spans {
		in("span", b.Spans[i].Attrs)
	}
	for i := range b.Events {
		in("event", b.Events[i].Attrs)
	}
	for i := range b.Links {
		in("link", b.Links[i].Attrs)
	}
}

func anyLonger(attrs []spans.Attr, most int) bool {
	for i := range attrs {
		if a := &attrs[i]; len(a.Key) > most || len(a.Str) > most && a.Kind == spans.String {
			return true
		}
	}
	return false
}

// cutAll returns how many of attrs were cut.
func cutAll(attrs []spans.Attr, most int) (n int) {
	for i := range attrs {
		a := &attrs[i]
		long := len(a.Key) > most
		a.Key = head(a.Key, most)
		if a.Kind == spans.String {
			long = long || len(a.Str) > most
			a.Str = head(a.Str, most)
		}
		if long {
			n++
		}
	}
	return n
}

// head returns the first most bytes of s, or fewer where that would cut a character.
func head(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
