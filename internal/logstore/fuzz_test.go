package logstore

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

func testZstd(t testing.TB) *codec.Zstd {
	t.Helper()
	z, err := codec.NewZstd(codec.LevelFast)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// FuzzSelect compares the engine with the reference on arbitrary lines and filters.
func FuzzSelect(f *testing.F) {
	f.Add("a\x01error b\x01\xff\x01c error", "error", uint8(0), int64(3), int64(20))
	f.Add("user_12345\x01user_1234\x01x", "r_12", uint8(1), int64(0), int64(1000))
	f.Add("GET /a\nb\x01get", "(?i)get", uint8(7), int64(0), int64(1000))
	f.Add("4bf92f3577b34da6\x01", "", uint8(2), int64(1), int64(2))
	f.Fuzz(func(t *testing.T, texts, pattern string, mode uint8, from, to int64) {
		lf := store.LineFilter{Patterns: []string{pattern}, Negate: mode&1 != 0, Regexp: mode&2 != 0}
		if _, err := regexp.Compile(pattern); err != nil && lf.Regexp {
			return
		}
		o := openAt(t, t.TempDir(), Options{})
		defer o.close(t)
		ref := storetest.NewLogs()
		base := storetest.Now().UnixNano()
		for i, line := range strings.Split(texts, "\x01") {
			b := &store.LogBatch{Streams: []store.LogStream{{
				Labels:  appLabels(fmt.Sprint(i % 3)),
				Entries: []store.LogEntry{{Time: base + int64(i%10), Line: line, Meta: logmeta.New(model.Label{Name: "m", Value: line})}},
			}}}
			if err := errors.Join(o.Append(t.Context(), tenant, b), ref.Append(t.Context(), tenant, b)); err != nil {
				t.Fatal(err)
			}
			if i%5 == int(mode>>4)%5 {
				if err := o.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		sel := store.LogSelector{Range: model.TimeRange{From: base + from%16, To: base + to%1024}, Lines: []store.LineFilter{lf}, Direction: store.Direction(mode >> 2 & 1)}
		if mode&8 != 0 {
			sel.Fields = []store.FieldPredicate{{Matcher: model.MustMatcher(model.MatchEqual, "m", pattern)}}
		}
		if d := cmp.Diff(lines(t, ref, sel), lines(t, o, sel)); d != "" {
			t.Errorf("select %+v (-want +got):\n%s", sel, d)
		}
	})
}

// FuzzFilter demands that a filter never denies what is there.
func FuzzFilter(f *testing.F) {
	f.Add("time=12 level=error trace_id=4bf92f3577b34da6a3ce929d0e0e4736", 3, 20)
	f.Add("trace=4bf92f3577b34da6a3ce929d0e0e4736abc0123 x", 9, 17)
	f.Add("deadbeefcafe ünïcödé user_12345 OutOfMemoryError", 5, 9)
	f.Fuzz(func(t *testing.T, line string, from, n int) {
		var b filterBuilder
		var m metaBuilder
		m.build([]logmeta.Meta{logmeta.New(model.Label{Name: "k", Value: line})})
		m.encode(nil, nil)
		b.tokens([]byte(line + "\n"))
		bf, err := openFilter(b.build(nil, &m), true)
		if err != nil {
			t.Fatal(err)
		}
		if len(line) == 0 {
			return
		}
		from = int(uint(from) % uint(len(line)))
		n = int(uint(n) % uint(len(line)-from+1))
		if s := line[from : from+n]; !bf.substring(s) {
			t.Errorf("the filter of %q denies %q", line, s)
		}
		if !bf.field("k", line) {
			t.Errorf("the filter denies field value %q", line)
		}
		for token := range strings.FieldsFuncSeq(line, func(c rune) bool { return c < utf8.RuneSelf && byteClass[c] == 0 }) {
			if has := !grams(token, func(uint64) bool { return false }); has != hasGrams(token) {
				t.Errorf("hasGrams(%q) = %t, want %t", token, !has, has)
			}
		}
	})
}

// sourceOf returns a source of data.
func sourceOf(data []byte) lineSource {
	return func(off, n int) ([]byte, error) {
		switch {
		case n < 0:
			return data, nil
		case off < 0 || off+n > len(data):
			return nil, store.ErrCorrupt
		}
		return data[off : off+n], nil
	}
}

// openBlock opens a rows and a lines column of n rows.
func openBlock(t *testing.T, column, data []byte, n int, list []*template) (lineRows, encodedLines) {
	t.Helper()
	rows, err := openRows(column, n, len(list), &buffer{})
	if err != nil {
		t.Fatal(err)
	}
	enc := encodedLines{}
	if enc.sk, err = rows.skeletons(list, sourceOf(data), &buffer{}); err == nil && enc.sk == nil {
		enc, err = openLines(data, n, testZstd(t), &buffer{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return rows, enc
}

// FuzzSkeleton separates lines and renders them again, and compares the verdicts on
// substrings with the lines.
func FuzzSkeleton(f *testing.F) {
	f.Add("10.1.2.3 took=15ms trace=4bf92f3577b34da6 pod-7f9c4d x007\x01GET /a/12", 3, 9)
	f.Add("deadbeef1 0 00 012345678901234567890 a1b2c3d4e5 ABCDEF12", 0, 4)
	f.Fuzz(func(t *testing.T, texts string, from, n int) {
		z := testZstd(t)
		lines := strings.Split(texts, "\x07")
		for len(lines) < 40 { // the same skeletons with other digits
			l := []byte(lines[len(lines)/2])
			for i := range l {
				if l[i] >= '0' && l[i] <= '9' {
					l[i] = '0' + (l[i]-'0'+byte(len(lines)))%10
				}
			}
			lines = append(lines, string(l))
		}
		b := rowBlock{segs: []segment{{}}}
		for _, l := range lines {
			b.add(&row{line: l})
		}
		var sk skeletonBuilder
		table := newTemplateTable()
		if n&1 != 0 {
			table.size = maxTemplateText // it is full
		}
		var fb filterBuilder
		data, ids := b.appendLines(nil, table, &sk, &fb, z)
		bf, err := openFilter(fb.build(nil, &metaBuilder{}), true)
		if err != nil {
			t.Fatal(err)
		}
		x := partIndex{templates: table}
		rows, enc := openBlock(t, sk.appendRows(nil, b.lens, ids), data, len(lines), x.templatesOf(&blockInfo{templates: ids}, &buffer{}))
		sizes, err := rows.sizes(len(lines))
		if err != nil {
			t.Fatal(err)
		}
		var s *skeletons
		if s = enc.sk; s != nil {
			copied := *s
			s = &copied
		}
		got, _, err := enc.render(nil, 0, z, &bufferPool{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if s != nil {
			checkFew(t, s, lines, z)
		}
		for i, l := range lines {
			if got.line(i) != l {
				t.Fatalf("line %d = %q, want %q", i, got.line(i), l)
			}
			if int(sizes[i]) != len(l) {
				t.Fatalf("size %d of line %q", sizes[i], l)
			}
			if l != "" && !bf.substring(l[int(uint(from)%uint(len(l))):]) {
				t.Fatalf("the filter denies the end of %q", l)
			}
			if s == nil || l == "" {
				continue
			}
			at := int(uint(from) % uint(len(l)))
			sub := l[at : at+int(uint(n)%uint(len(l)-at+1))]
			checkNeedles(t, s, lines, sub)
			for j, other := range lines {
				switch v := lookFor(&needle{}, s.list[s.rows[j]], literal(sub)); {
				case v == never && strings.Contains(other, sub):
					t.Fatalf("the skeleton of %q denies %q", other, sub)
				case v == sure && !strings.Contains(other, sub):
					t.Fatalf("the skeleton of %q promises %q", other, sub)
				}
			}
		}
	})
}

// checkFew prints a few of lines.
func checkFew(t *testing.T, s *skeletons, lines []string, z *codec.Zstd) {
	t.Helper()
	for step := 1; step <= len(lines); step *= 3 {
		var few []int32
		for i := step / 2; i < len(lines); i += step {
			few = append(few, int32(i))
		}
		txt, ends, err := s.renderFew(few, z, &bufferPool{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := lineText{text: text(txt), ends: ends}
		for i, l := range lines {
			if !slices.Contains(few, int32(i)) {
				l = ""
			}
			if got.line(i) != l {
				t.Fatalf("line %d of few = %q, want %q", i, got.line(i), l)
			}
		}
	}
}

// TestLiteralsOfExpressions checks the literals of expressions against what they match.
func TestLiteralsOfExpressions(t *testing.T) {
	tests := []struct {
		re    string
		lits  []string
		exact bool
	}{
		{"error", []string{"error"}, true},
		{"warn|info", []string{"warn", "info"}, true},
		{"status=50[0-3] took=[78]", []string{"status=500 took=7", "status=500 took=8", "status=501 took=7", "status=501 took=8", "status=502 took=7", "status=502 took=8", "status=503 took=7", "status=503 took=8"}, false},
		{"^abc", []string{"abc"}, false},
		{"err(or)?", []string{"err"}, false},
		{"(?i)error", nil, false},
		{"a.*bcd", []string{"bcd"}, false},
		{"x+yz", []string{"yz"}, false},
		{".*", nil, false},
		{"", nil, false},
		{"a|", nil, false},
		{`\d+ms`, []string{"ms"}, false},
	}
	for _, tt := range tests {
		ps, err := compilePattern(tt.re)
		if err != nil {
			t.Fatalf("%q: %v", tt.re, err)
		}
		var got []string
		exact := ps[0].re == nil
		if exact {
			for _, p := range ps {
				got = append(got, p.literal)
			}
		} else {
			got = ps[0].needs
		}
		slices.Sort(got)
		slices.Sort(tt.lits)
		if exact != tt.exact || !slices.Equal(got, tt.lits) {
			t.Errorf("%q: literals %q exact %v, want %q %v", tt.re, got, exact, tt.lits, tt.exact)
		}
	}
}

// FuzzPattern compares compiled patterns with package regexp.
func FuzzPattern(f *testing.F) {
	for _, re := range []string{"err(or)?", "warn|info", "(?i)k", "a{2,3}b", "[ab]c", "^$", "(a|b|)c", `\bfoo`, "[^a]", "\ufffd"} {
		f.Add(re, "some error line with \xff aabc info")
	}
	f.Fuzz(func(t *testing.T, pattern, line string) {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return
		}
		fs, err := compileLines([]store.LineFilter{{Regexp: true, Patterns: []string{pattern}}})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fs[0].match(line), re.MatchString(line); got != want {
			t.Errorf("%q on %q = %v, want %v", pattern, line, got, want)
		}
	})
}

// TestLongHexLine writes a line that is one hex number with more digits than a reader
// takes.
func TestLongHexLine(t *testing.T) {
	z := testZstd(t)
	b := &rowBlock{segs: []segment{{}}}
	for range 64 {
		b.add(&row{line: "id=0123456789abcdef"})
	}
	line := strings.Repeat("0123456789abcdef", maxHex/16+1)
	b.add(&row{line: line})
	table := newTemplateTable()
	var sk skeletonBuilder
	data, ids := b.appendLines(nil, table, &sk, &filterBuilder{}, z)
	_, enc := openBlock(t, sk.appendRows(nil, b.lens, ids), data, len(b.times), table.list)
	got, _, err := enc.render(nil, 0, z, &bufferPool{}, nil)
	if err != nil || got.line(64) != line {
		t.Errorf("the line cannot be read back: %v", err)
	}
}

// TestHugeLengths decodes lengths whose sums overflow.
func TestHugeLengths(t *testing.T) {
	z := testZstd(t)
	data := z.Append(codec.AppendInts([]byte{linesLengths}, []int64{0, math.MaxInt64, math.MaxInt64}), []byte("\n\n\n"))
	if enc, err := openLines(data, 3, z, &buffer{}); err == nil {
		if _, _, err = enc.render(nil, 0, z, &bufferPool{}, nil); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("lines: error %v, want ErrCorrupt", err)
		}
	}
	widths := []int64{math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64}
	data = z.Append(codec.AppendInts([]byte{varHexMix}, widths), nil)
	if _, err := readVars(data, len(widths), z, nil); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("variables: error %v, want ErrCorrupt", err)
	}
}

// FuzzDecode feeds arbitrary bytes to everything that reads files.
func FuzzDecode(f *testing.F) {
	gs := []group{{labels: appLabels("x"), stream: &stream{id: 1, key: "key"}, entries: []store.LogEntry{{Time: 5, Line: "line", Meta: logmeta.New(appLabels("y")...)}}}}
	f.Add([]byte(encodeRecord(gs, func(*stream) bool { return true })))
	old, err := os.ReadFile("testdata/record-v1.bin")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(old)
	z := testZstd(f)
	f.Add((&partIndex{fields: [][]uint32{nil}, fieldOf: []uint32{0}, templates: newTemplateTable()}).encode([]model.Labels{appLabels("x")}, z))
	d := directory{}
	d.first(0, 0)
	d.column(20, []byte{varInt, 0, 3, 2, 0})
	f.Add(appendRows(nil, []int64{5, 5, 6}, []int64{0, 0, 0}, &d))
	f.Fuzz(func(_ *testing.T, data []byte) {
		streams := map[uint64]*stream{}
		_, _, _ = decodeRecord(data, func(id uint64, _ model.Labels) *stream { streams[id] = &stream{}; return streams[id] })
		if x, err := decodeIndex(data, z); err == nil {
			for i := range x.numStreams() {
				x.labels(uint32(i))
				x.segments(uint32(i))
			}
		}
		if m, err := openMeta(data, nil); err == nil {
			few := metaColumns{cols: slices.Clone(m.cols)}
			_ = m.decodeAll(3, z, &buffer{})
			_ = few.each(func(c *metaColumn) error { return c.pick([]int32{0, 2}, 3, z, &buffer{}) })
		}
		table := newTemplateTable()
		table.add("a=\x00 b=\x03")
		known := []lineRows{{templates: []int64{0, 0, 0}, counts: []int{3}}}
		if rows, err := openRows(data, 3, 1, &buffer{}); err == nil {
			_, _ = rows.sizes(3)
			known = append(known, rows)
		}
		for _, l := range known {
			if sk, err := l.skeletons(table.list, sourceOf(data), &buffer{}); err == nil && sk != nil {
				_, _, _ = sk.render(nil, 0, z, &bufferPool{}, nil)
			}
			if sk, err := l.skeletons(table.list, sourceOf(data), &buffer{}); err == nil && sk != nil {
				_, _, _ = sk.renderFew([]int32{1}, z, &bufferPool{}, nil)
			}
		}
		if enc, err := openLines(data, 3, z, &buffer{}); err == nil {
			_, _, _ = enc.render(nil, 0, z, &bufferPool{}, nil)
		}
		if bf, err := openFilter(data, true); err == nil {
			bf.substring("some 12 words")
		}
		metaLabels(nil, string(data))
	})
}

func TestRecordRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var gs []group
		for i := range rng.IntN(4) {
			g := group{labels: appLabels(fmt.Sprint(i)), stream: &stream{id: uint64(i + 1), key: "0123456789"}}
			for range rng.IntN(5) {
				e := store.LogEntry{Time: rng.Int64() - rng.Int64(), Line: strings.Repeat("x\n", rng.IntN(200))}
				var meta model.Labels
				for k := range rng.IntN(3) {
					meta = append(meta, model.Label{Name: fmt.Sprint("k", k), Value: strings.Repeat("v", rng.IntN(300))})
				}
				if e.Meta = logmeta.New(meta...); meta.Get("k1") != "" {
					e.Meta.Fields = logmeta.NewFields(e.Meta.Fields.Names, append(make([]string, e.Meta.Len()-1), "shared"))
					e.Meta.Values = string(logmeta.AppendValue(nil, meta[0].Value))
					if meta[0].Value == "" {
						e.Meta.Values = ""
					}
				}
				g.entries = append(g.entries, e)
			}
			gs = append(gs, g)
		}
		defined := rng.IntN(2) == 0
		data := []byte(encodeRecord(gs, func(*stream) bool { return defined }))
		var labels []model.Labels
		got, _, err := decodeRecord(data, func(id uint64, ls model.Labels) *stream {
			labels = append(labels, ls)
			return gs[id-1].stream
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range gs {
			if defined != labels[i].Equal(gs[i].labels) {
				t.Fatalf("labels %v of %v", labels[i], gs[i].labels)
			}
			for j, r := range got[i].rows {
				e, own := gs[i].entries[j], gs[i].rows[j]
				if own.time != r.time || own.line != r.line || !own.meta.Equal(r.meta) {
					t.Fatalf("row %+v, read back as %+v", own, r)
				}
				if r.time != e.Time || r.line != e.Line || !r.meta.Equal(e.Meta) {
					t.Fatalf("row %+v, want %+v", r, e)
				}
			}
		}
	}
}

// TestReadsRecordsOfVersion1 reads a record that an older program wrote.
func TestReadsRecordsOfVersion1(t *testing.T) {
	data, err := os.ReadFile("testdata/record-v1.bin")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	gs, _, err := decodeRecord(data, func(id uint64, ls model.Labels) *stream { return &stream{id: id, labels: ls} })
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range gs {
		for _, r := range g.rows {
			got = append(got, fmt.Sprintf("%s %d %q %s", g.stream.labels, r.time, r.line, r.meta.Labels()))
		}
	}
	want := []string{
		`{app="x"} 5 "first" {level="info", user="u1"}`,
		`{app="x"} 7 "second" {}`,
		`{app="x"} 6 "third" {user="u2"}`,
		`{app="y"} 8 "" {level="warn", user="u3"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if gs[0].rows[0].meta.Fields != gs[1].rows[0].meta.Fields {
		t.Error("rows with the same names do not share them")
	}
}

func TestReplayKeepsEntriesWhoseLabelsAreLost(t *testing.T) {
	o := openAt(t, t.TempDir(), Options{})
	defer o.close(t)
	gs := []group{{labels: appLabels("x"), stream: &stream{id: 7, key: "key"}, entries: []store.LogEntry{{Time: storetest.Now().UnixNano(), Line: "line"}}}}
	data := []byte(encodeRecord(gs, func(*stream) bool { return false }))
	if err := o.Replay(wal.Record{Signal: model.Logs, Tenant: tenant, Data: data}); err != nil {
		t.Fatal(err)
	}
	ms := []*model.Matcher{model.MustMatcher(model.MatchEqual, lostLabel, "7")}
	if got := lines(t, o, store.LogSelector{Range: always(), Matchers: ms}); len(got) != 1 {
		t.Errorf("got %q, want the line under the label %s", got, lostLabel)
	}
}
