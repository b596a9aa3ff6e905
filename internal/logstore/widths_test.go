package logstore

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pharos-o11y/pharos/internal/store"
)

// widthsBlock is a block of lines with its filter, judged for a line filter.
func widthsBlock(t *testing.T, lines []string, lf store.LineFilter) (*pruner, *blockInfo, *blockFilter) {
	t.Helper()
	b := rowBlock{segs: []segment{{}}}
	for _, l := range lines {
		b.add(&row{line: l})
	}
	table := newTemplateTable()
	var builder skeletonBuilder
	var fb filterBuilder
	_, ids := b.appendLines(nil, table, &builder, &fb, testZstd(t))
	if ids == nil {
		t.Fatal("no templates")
	}
	bf, err := openFilter(fb.build(nil, &metaBuilder{}), true)
	if err != nil {
		t.Fatal(err)
	}
	fs, err := compileLines([]store.LineFilter{lf})
	if err != nil {
		t.Fatal(err)
	}
	x := &partIndex{templates: table, filters: make(partFilters, 1), blocks: []blockInfo{{templates: ids, widths: builder.widthsOf(ids)}}}
	p := newPruner(&wants{lines: fs, judge: &judge{filters: fs, byKey: map[string]*judgement{}}}, x)
	p.skips(0)
	return p, &x.blocks[0], &bf
}

// TestWidths looks for ids at whose edge a token may go on: blocks that have them must be
// read, most that have only others must not.
func TestWidths(t *testing.T) {
	block := func(from int) []string {
		var lines []string
		for i := from; i < from+64; i++ {
			lines = append(lines, fmt.Sprintf(`{"user":"user_%05d","trace":"%016x","took":%d}`, i, uint64(i)*0x9e3779b97f4a7c15|0xa000000000000000, i*i))
			lines = append(lines, fmt.Sprintf("GET /cart/a%db took=%dms trace=%016x", i, i, uint64(i)*0xd6e8feb86659fd93|0xb000000000000000))
		}
		return lines
	}
	const blocks = 40
	for _, sub := range []string{"user_00071", `"user_00071`, "user_0007", "a71b", "took=71", "ace", `took":5041}`, "user_000710", block(71)[0][29:45], block(71)[0][31:45], ":5041"} {
		for _, lf := range []store.LineFilter{
			{Patterns: []string{sub}},
			{Patterns: []string{sub, "nosuch_12345"}},
			{Patterns: []string{"(x|" + sub + ")[0-9a-f\",]?"}, Regexp: true},
			{Patterns: []string{sub}, Negate: true},
		} {
			read := 0
			for i := range blocks {
				lines := block(i * 64)
				p, info, bf := widthsBlock(t, lines, lf)
				lacks := p.lacks(info, bf)
				if !lacks {
					read++
				}
				if lacks && slices.ContainsFunc(lines, p.w.lines[0].match) {
					t.Fatalf("block %d has a line for %+v and is not read", i, lf)
				}
				info.widths = nil // as of version 2
				if p.lacks(info, bf) && slices.ContainsFunc(lines, p.w.lines[0].match) {
					t.Fatalf("block %d has a line for %+v and is not read without widths", i, lf)
				}
			}
			whole := strings.HasPrefix(strings.Trim(sub, `"`), "user_000") && len(sub) > len("user_0007")
			if whole && !lf.Negate && !lf.Regexp && read > 4 {
				t.Errorf("%d of %d blocks are read for %+v", read, blocks, lf)
			}
		}
	}
}
