package tracestore

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/klauspost/compress/s2"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// seedRecord returns the record of a few spans, not compressed.
func seedRecord(f *testing.F) []byte {
	f.Helper()
	var refused store.Refused
	in := storetest.Spans(newShop(9, storetest.Now()).batch(20))
	refs := collect(in, Limits{}, storetest.Now(), &refused)
	rec, err := recordOf(buildGroups(refs[:min(5, len(refs))], in, new(builders))[0])
	if err != nil {
		f.Fatal(err)
	}
	raw, err := s2.Decode(nil, rec[1:])
	if err != nil {
		f.Fatal(err)
	}
	return raw
}

func recordOf(g *group) ([]byte, error) {
	r := newRecorder()
	err := r.add(g)
	return r.out, err
}

// FuzzRecord decodes anything as a record. What decodes can be read in every way, and
// encodes to a record that decodes to the same.
func FuzzRecord(f *testing.F) {
	raw := seedRecord(f)
	f.Add(raw)
	for i := 0; i < len(raw); i += 41 {
		bad := bytes.Clone(raw)
		bad[i] ^= 0x55
		f.Add(bad)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		g, err := parseRecord(append([]byte{recordVersion}, s2.Encode(nil, raw)...))
		if err != nil {
			return
		}
		text := groupText(t, g)
		again, err := recordOf(g)
		if err != nil {
			t.Fatal(err)
		}
		h, err := parseRecord(again)
		if err != nil {
			t.Fatalf("record of a decoded group: %v", err)
		}
		if got := groupText(t, h); got != text {
			t.Errorf("group changes on its way through a record: %s, was %s", got, text)
		}
		merged, err := mergeGroups([]*group{g, h}, new(builders))
		if err != nil || merged.len() > g.len() {
			t.Errorf("merge of a group with itself: %v", err)
		}
	})
}

// groupText reads all of g as OTLP and as columns.
func groupText(t *testing.T, g *group) string {
	t.Helper()
	p := traceParts{}
	td := ptrace.NewTraces()
	rows := newRowBuilder(wantedOf(store.SpanSelector{AllAttrs: true, Events: true, Links: true}), newResources())
	src, err := newRowSource(g, &rows.want)
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range g.traces {
		p = traceParts{}
		p.add(g, i)
		p.assemble(id).ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
		for from, to := g.run(i); from < to; from++ {
			rows.add(src, id, from)
		}
	}
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	w, err := compileWhere([][]store.SpanPredicate{{{Attrs: []store.Attr{{Scope: store.ScopeSpan, Name: "http.route"}, {Scope: store.ScopeResource, Name: "service.name"}}}}}, newResources())
	if err != nil {
		t.Fatal(err)
	}
	match, err := w.match(g)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x %v %d", b, match, rows.finish().Len())
}

// TestShapesWithoutColumns decodes attributes that name a column where there is none.
func TestShapesWithoutColumns(t *testing.T) {
	var z *codec.Zstd // stores blocks as they are
	b := z.Append(nil, []byte{1, 1, 0})
	b = codec.AppendInts(append(b, 0), []int64{0})
	g := &group{rows: [numDomains]int{ofSpan: 1}}
	r := &decoder{Reader: codec.NewReader(b), mem: &scratch{}}
	if g.decodeShapes(r, ofSpan); !errors.Is(r.Err(), store.ErrCorrupt) {
		t.Errorf("error %v, want ErrCorrupt", r.Err())
	}
}

// FuzzIndex decodes anything as the index and the filter of a part.
func FuzzIndex(f *testing.F) {
	f.Add([]byte{indexVersion, 0, 0})
	f.Add(appendFilter(nil, &group{traces: []model.TraceID{{1}, {2}, {3}}}))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = parseIndex(b)
		if filter := parseFilter(b); filter != nil {
			filter.Contains(idHash(model.TraceID{1}))
		}
		_, _ = openGroup(b, func(part.Ref, []byte) ([]byte, error) { return nil, nil }, nil, &scratch{})
	})
}
