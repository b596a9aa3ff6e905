package logstore

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pharos-o11y/pharos/internal/store"
)

// TestProbes looks for ids, whole and pieces of longer ones, in blocks that have them and in
// blocks that do not: the former must be read, nearly all of the latter must not.
func TestProbes(t *testing.T) {
	const blocks = 20
	id := func(i int) string { return fmt.Sprintf("%016x", uint64(i+1)*0x9e3779b97f4a7c15|0xa000000000000000) }
	block := func(k int) (lines []string) {
		for i := 200 * k; i < 200*k+100; i++ {
			lines = append(lines, fmt.Sprintf(`{"took":%d,"trace_id":"%s%s"}`, i, id(i), id(i+100)))
			lines = append(lines, fmt.Sprintf("GET /cart took=%dms trace=%s", i, id(i)), fmt.Sprintf("lease %d of %s renewed", i, id(i)[1:]))
		}
		return lines
	}
	z := testZstd(t)
	long := id(411) + id(511)
	probed, read := 0, 0
	for _, lf := range []store.LineFilter{
		{Patterns: []string{id(411)}},
		{Patterns: []string{long}},
		{Patterns: []string{long[3:19]}},
		{Patterns: []string{long[8:25]}},
		{Patterns: []string{"trace=" + id(411)}},
		{Patterns: []string{"of " + id(411)[1:] + " renewed"}},
		{Patterns: []string{id(411), long[20:]}},
		{Patterns: []string{"(trace|of).?" + id(411)[:10]}, Regexp: true},
		{Patterns: []string{id(411)}, Negate: true},
		{Patterns: []string{"GET"}},
	} {
		for k := range blocks {
			lines := block(k)
			p, info, _ := widthsBlock(t, lines, lf)
			b := rowBlock{segs: []segment{{}}}
			for _, l := range lines {
				b.add(&row{line: l})
			}
			var builder skeletonBuilder
			var fb filterBuilder
			data, ids := b.appendLines(nil, newTemplateTable(), &builder, &fb, z)
			probes := p.probes(info)
			if probes == nil {
				continue
			}
			probed++
			sk, err := openColumns(builder.appendRows(nil, b.lens, ids), p.x.templatesOf(info, &buffer{}), sourceOf(data), &buffer{})
			if err != nil {
				t.Fatal(err)
			}
			may, err := sk.holds(probes, z)
			if err != nil {
				t.Fatal(err)
			}
			has := slices.ContainsFunc(lines, p.w.lines[0].match)
			if has && !may {
				t.Fatalf("block %d has a line for %+v and is not read", k, lf)
			}
			if may && !has {
				read++
			}
		}
		if lf.Negate && probed%blocks != 0 {
			t.Errorf("%+v is probed", lf)
		}
	}
	if probed < 7*blocks || read > probed/20 {
		t.Errorf("%d blocks are probed, %d of them read for nothing", probed, read)
	}
}
