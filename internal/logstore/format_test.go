package logstore

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// oldLines are the lines of testdata/v1 to v3, stores whose part has an index of that
// version.
func oldLines() []string {
	var out []string
	for i := range 40 {
		out = append(out, fmt.Sprintf("%d GET /api/%d took=%dms trace=%08xabcdef01", i, i%7, i*3, i*7919))
		out = append(out, fmt.Sprintf(`{"level":"info","status_code":%d,"id":"user_%03d"}`, 200+i%3*100, i))
		if i <= 5 {
			out = append(out, fmt.Sprintf("plain text\nof line %d", i))
		}
	}
	slices.Sort(out)
	return out
}

// oldMeta is the metadata of the i-th line in testdata/v3.
func oldMeta(i int) model.Labels {
	return model.Labels{
		{Name: "level", Value: []string{"info", "warn"}[i%2]},
		{Name: "trace_id", Value: fmt.Sprintf("%032x", 1<<60+uint64(i/2)*0x9e3779b97f4a7c15)},
		{Name: "user", Value: fmt.Sprintf("user_%d", i*37)},
	}
}

// TestReadsOldVersions opens stores of older formats, asks them, and merges their part with
// one of today's.
func TestReadsOldVersions(t *testing.T) {
	for _, version := range []string{"v1", "v2", "v3"} {
		t.Run(version, func(t *testing.T) { testReadsOld(t, version) })
	}
}

func testReadsOld(t *testing.T, version string) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/"+version)); err != nil {
		t.Fatal(err)
	}
	o := openAt(t, dir, Options{})
	defer o.close(t)
	all := store.LogSelector{Range: model.TimeRange{From: minTime, To: maxTime}}
	read := func(sel store.LogSelector) []string {
		var out []string
		for b, err := range o.Select(t.Context(), tenant, sel) {
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range b.Lines {
				out = append(out, string([]byte(l)))
			}
		}
		slices.Sort(out)
		return out
	}
	want := oldLines()
	if d := cmp.Diff(want, read(all)); d != "" {
		t.Fatalf("lines (-want +got):\n%s", d)
	}
	for _, sub := range []string{"took=12ms", "user_012"} {
		filtered := all
		filtered.Lines = []store.LineFilter{{Patterns: []string{sub}}}
		if got := read(filtered); len(got) != 1 {
			t.Errorf("lines with %q: %q, want 1", sub, got)
		}
	}
	if version == "v3" {
		for i := range want {
			for _, l := range oldMeta(i) {
				sel := all
				sel.Fields = []store.FieldPredicate{{Matcher: model.MustMatcher(model.MatchEqual, l.Name, l.Value)}}
				if !slices.Contains(read(sel), want[i]) {
					t.Fatalf("the line with %s=%q is not found", l.Name, l.Value)
				}
			}
		}
	}
	b := &store.LogBatch{Streams: []store.LogStream{{Labels: appLabels("0")}}}
	for i := range 20 {
		line := fmt.Sprintf("new line %d", i)
		want = append(want, line)
		b.Streams[0].Entries = append(b.Streams[0].Entries, store.LogEntry{Time: storetest.Now().UnixNano() + int64(i), Line: line})
		if err := o.Append(t.Context(), tenant, b); err != nil {
			t.Fatal(err)
		}
		if err := o.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := o.set.MergeOnce(t.Context()); n == 0 || err != nil {
		t.Fatalf("%d merges, error %v", n, err)
	}
	slices.Sort(want)
	if d := cmp.Diff(want, read(all)); d != "" {
		t.Errorf("merged lines (-want +got):\n%s", d)
	}
}

// TestFullTemplateTable writes and merges blocks whose templates the table of the part
// does not take.
func TestFullTemplateTable(t *testing.T) {
	z := testZstd(t)
	b := &rowBlock{segs: []segment{{}}}
	for i := range 64 {
		b.add(&row{line: fmt.Sprintf("GET /a/%d took %dms", i, i*i)})
	}
	table := newTemplateTable()
	var sk skeletonBuilder
	data, ids := b.appendLines(nil, table, &sk, &filterBuilder{}, z)
	full := newTemplateTable()
	full.size = maxTemplateText
	if _, ok := full.take(table, ids); ok || len(full.list) > 0 {
		t.Fatal("a full table took a template")
	}
	x := &partIndex{templates: table}
	data = joinTemplates(data, x.templatesOf(&blockInfo{templates: ids}, &buffer{}), sk.rows, z)
	enc, err := openLines(data, len(b.times), z, &buffer{})
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := enc.render(nil, 0, z, &bufferPool{}, nil)
	if err != nil || got.text != string(b.text) {
		t.Errorf("lines with their templates cannot be read back: %v", err)
	}
	again, ok := newTemplateTable().take(table, ids)
	if !ok || len(again) != len(ids) {
		t.Error("an empty table does not take templates")
	}
}

// TestCopyToFullTable copies a block into a part whose table takes no more templates.
func TestCopyToFullTable(t *testing.T) {
	o := openAt(t, t.TempDir(), Options{})
	defer o.close(t)
	b := &store.LogBatch{Streams: []store.LogStream{{Labels: appLabels("0")}}}
	var want []string
	for i := range 200 {
		line := fmt.Sprintf("GET /a/%d took %dms", i, i*i)
		want = append(want, line)
		b.Streams[0].Entries = append(b.Streams[0].Entries, store.LogEntry{Time: storetest.Now().UnixNano() + int64(i), Line: line})
	}
	if err := o.Append(t.Context(), tenant, b); err != nil {
		t.Fatal(err)
	}
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	view := o.set.View(tenant, model.TimeRange{From: minTime, To: maxTime})
	defer view.Close()
	from := view.Parts[0]
	w, err := o.set.Create("team-b", from.Info.Day)
	if err != nil {
		t.Fatal(err)
	}
	p := newPartWriter(w, &builders{}, o.zstd)
	p.templates.size = maxTemplateText
	labels, _ := from.Data.labels(0)
	if err := copyBlock(from, &from.Data.blocks[0], []uint32{p.addStream(labels)}, p, &buffer{}); err != nil {
		t.Fatal(err)
	}
	done, err := p.finish()
	if err != nil {
		t.Fatal(err)
	}
	if err := o.set.Commit(o.Covered(), done); err != nil {
		t.Fatal(err)
	}
	var got []string
	for r, err := range o.Select(t.Context(), "team-b", store.LogSelector{Range: always(), Sizes: true}) {
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range r.Lines {
			got = append(got, string([]byte(l)))
			if int(r.Sizes[i]) != len(l) {
				t.Errorf("size %d of line %q", r.Sizes[i], l)
			}
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("lines (-want +got):\n%s", d)
	}
}
