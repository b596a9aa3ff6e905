package logstore

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pharos-o11y/pharos/internal/store"
)

// checkNeedles compares what templates and variables alone say about filters for sub with
// the lines.
func checkNeedles(t *testing.T, sk *skeletons, lines []string, sub string) {
	t.Helper()
	quoted, digits := regexp.QuoteMeta(strings.ToValidUTF8(sub, "x")), regexp.MustCompile("[0-9]")
	for _, lf := range []store.LineFilter{
		{Patterns: []string{sub}},
		{Patterns: []string{sub}, Negate: true},
		{Patterns: []string{sub, "7"}},
		{Patterns: []string{quoted + "[0-9a]"}, Regexp: true},
		{Patterns: []string{quoted + "[0-9a]"}, Regexp: true, Negate: true},
		{Patterns: []string{"[0-9a-f]{2}" + quoted}, Regexp: true},
		{Patterns: []string{"(?i)" + quoted, "7[0-9]{3}"}, Regexp: true},
		{Patterns: []string{digits.ReplaceAllString(quoted, "[0-9]")}, Regexp: true},
	} {
		fs, err := compileLines([]store.LineFilter{lf})
		if err != nil {
			t.Fatal(err)
		}
		j := &judge{filters: fs, byKey: map[string]*judgement{}}
		p := &pruner{w: &wants{judge: j}}
		of := p.judgements(&blockInfo{}, sk, &buffer{})
		b := &fetched{info: &blockInfo{rows: len(lines)}, n: len(lines), uses: []use{{to: len(lines), hi: len(lines)}}}
		m := newMask(b)
		open := m.decide(fs, sk, of)
		if len(open) > 0 {
			plan, ids := p.plan(&blockInfo{}, sk, of, &buffer{})
			if open, err = m.narrow(fs, sk, of, plan, ids, testZstd(t), &bufferPool{}); err != nil {
				t.Fatal(err)
			}
		}
		for i, l := range lines {
			want := fs[0].match(l)
			if m.keep[i] != want && (want || len(open) == 0) {
				t.Fatalf("%+v keeps %q: %v, want %v", lf, l, m.keep[i], want)
			}
		}
	}
}

// TestNeedles looks for substrings that lie in variables of several kinds.
func TestNeedles(t *testing.T) {
	var lines []string
	for i := range 60 {
		lines = append(lines, fmt.Sprintf(`{"user_id":"user_%05d","took":%d,"trace":"%08xabcdef%02x","pod":"a%db%dc%dd%d"}`, 4200+i, i*i, i*7919, i, i, i+1, i+2, i))
	}
	b := rowBlock{segs: []segment{{}}}
	for _, l := range lines {
		b.add(&row{line: l})
	}
	z := testZstd(t)
	table := newTemplateTable()
	var builder skeletonBuilder
	var fb filterBuilder
	data, ids := b.appendLines(nil, table, &builder, &fb, z)
	x := partIndex{templates: table}
	_, enc := openBlock(t, builder.appendRows(nil, b.lens, ids), data, len(lines), x.templatesOf(&blockInfo{templates: ids}, &buffer{}))
	if enc.sk == nil {
		t.Fatal("no skeletons")
	}
	for _, sub := range []string{
		"user_04242", "user_09999", `"took":10,`, "user_0424", "04242", `4242"`, `user_04242","took":1764,"trace`, "ser_4242", "2", "0", "4", "bcdef", "abcdef2a",
		`"took":9`, `:9,`, `,"took":9,"`, "a3b4", "b4c5d", `"a3b4c5d3"`, "xyz", "f03", "-", `"}`, "",
	} {
		checkNeedles(t, enc.sk, lines, sub)
	}
	tp := enc.sk.list[0]
	if got, _ := spotsOf(tp, literal("user_04242")); !slices.ContainsFunc(got, func(s spot) bool {
		p := &s.parts[0]
		return p.text == "04242" && p.begins && !p.ends && p.token == tokenKey("user_04242")
	}) {
		t.Errorf("user_04242 lies in %+v", got)
	}
	if lookFor(&needle{}, tp, literal("user-04242")) != never {
		t.Error("user-04242 may be in a line")
	}
}
