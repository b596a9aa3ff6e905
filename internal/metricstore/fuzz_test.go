package metricstore

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

func testHistograms() []store.HistogramSample {
	h := &histogram.Histogram{
		CounterResetHint: histogram.GaugeType, Schema: -4, ZeroThreshold: 1e-128, ZeroCount: 3, Count: 1 << 60, Sum: math.Inf(-1),
		PositiveSpans: []histogram.Span{{Offset: -5, Length: 2}, {Offset: 7, Length: 1}}, PositiveBuckets: []int64{1 << 59, -5, 7},
		NegativeSpans: []histogram.Span{{Offset: 1, Length: 1}}, NegativeBuckets: []int64{2},
	}
	custom := &histogram.Histogram{
		Schema: histogram.CustomBucketsSchema, Count: 3, Sum: 0.1,
		PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []int64{1, 1}, CustomValues: []float64{0.1, 2.5},
	}
	return []store.HistogramSample{{Time: 1, Int: h}, {Time: 2, Float: h.ToFloat(nil)}, {Time: 3, Int: custom}, {Time: 4, Float: custom.ToFloat(nil)}}
}

func TestHistogramChunk(t *testing.T) {
	want := testHistograms()
	got, err := decodeHistogramChunk(nil, appendHistogramChunk(nil, want))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// FuzzChunk feeds garbage to the chunk decoders.
func FuzzChunk(f *testing.F) {
	var enc codec.FloatEncoder
	f.Add(appendFloatChunk(nil, []int64{1, 2, 3}, []float64{1, 2.5, math.NaN()}, &enc))
	f.Add(appendHistogramChunk(nil, testHistograms()))
	f.Fuzz(func(t *testing.T, data []byte) {
		var dec codec.FloatDecoder
		if _, _, err := decodeFloatChunk(nil, nil, data, 3, &dec); err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("error does not wrap ErrCorrupt: %v", err)
		}
		if _, err := decodeHistogramChunk(nil, data); err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("error does not wrap ErrCorrupt: %v", err)
		}
		if _, err := decodeExemplars(data, 10, nil); err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("error does not wrap ErrCorrupt: %v", err)
		}
	})
}

// FuzzReplay replays garbage.
func FuzzReplay(f *testing.F) {
	var w recordWriter
	s := &series{labels: testLabels(1), walRef: 1}
	items := []item{{s: s, ref: 1, samples: []store.Sample{{Time: 1, Value: 2}}, hists: testHistograms(), exs: []store.Exemplar{{Time: 1, Value: 2, Labels: testLabels(2)}}}}
	mds := []store.MetricMetadata{{Metric: "m", Type: "counter", Help: "h"}}
	rec := w.encode(5, 1, []definition{{s, 1}}, items, mds, nil)
	f.Add(rec)
	e := openEngine(f, f.TempDir(), testOptions())
	f.Cleanup(func() { e.close(f) })
	f.Fuzz(func(t *testing.T, data []byte) {
		tn := newTenant(testTenant, 0)
		_ = e.replay(tn, data) // any error, no panic
		for _, s := range tn.series {
			if s.cur == nil {
				continue
			}
			var dec bufferDecoder
			v := s.cur.view()
			if _, _, err := dec.samples(&v, 0); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestReplayOfEveryKindOfItem(t *testing.T) {
	var w recordWriter
	s := &series{labels: testLabels(1), walRef: 1}
	at := storetest.Now().UnixMilli()
	items := []item{{s: s, ref: 1, samples: []store.Sample{{Time: at, Value: 2}}, hists: testHistograms(), exs: []store.Exemplar{{Time: at, Value: 2, Labels: testLabels(2)}}}}
	e := openEngine(t, t.TempDir(), testOptions())
	defer e.close(t)
	rec := w.encode(5, 1, []definition{{s, 1}}, items, nil, e.z)
	if err := e.Replay(wal.Record{Tenant: testTenant, Data: rec}); err != nil {
		t.Fatal(err)
	}
	b := e.tenant(testTenant).series[0].cur.view()
	if d := cmp.Diff(testHistograms(), b.hists); d != "" {
		t.Errorf("histograms (-want +got):\n%s", d)
	}
	if len(b.open) != 1 || b.open[0].Value != 2 || len(b.exs) != 1 || !sameExemplar(&b.exs[0], &items[0].exs[0]) {
		t.Errorf("got %+v", b)
	}
}

// FuzzBuffer adds the fuzzer's samples to a buffer, in its order, and compares with the
// obvious: a map in which the last one wins.
func FuzzBuffer(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef0123456789"))
	f.Fuzz(func(t *testing.T, data []byte) {
		want := map[int64]uint64{}
		b := newBuffer()
		var sl sealer
		var dec bufferDecoder
		type reader struct {
			view view
			ts   []int64
			vs   []float64
		}
		var readers []reader
		at := int64(1000)
		for ; len(data) >= 2; data = data[2:] {
			x := int64(int16(binary.LittleEndian.Uint16(data)))
			if x%7 == 0 {
				at = x // jump
			} else {
				at += max(x&3, -2)
			}
			v := float64(x % 5)
			want[at] = math.Float64bits(v)
			b.add([]store.Sample{{Time: at, Value: v}}, &sl)
			if x%11 == 0 && len(readers) < 50 {
				r := reader{view: b.view()}
				ts, vs, _ := dec.samples(&r.view, 0)
				r.ts, r.vs = slices.Clone(ts), slices.Clone(vs)
				readers = append(readers, r)
			}
		}
		for i := range readers { // what came later does not change what they see
			r := &readers[i]
			if ts, vs, err := dec.samples(&r.view, 0); err != nil || !slices.Equal(ts, r.ts) || !slices.Equal(vs, r.vs) {
				t.Fatalf("reader %d: %v %v, then %v %v, %v", i, r.ts, r.vs, ts, vs, err)
			}
		}
		v := b.view()
		ts, vs, err := dec.samples(&v, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range ts {
			if i > 0 && ts[i-1] >= ts[i] || want[ts[i]] != math.Float64bits(vs[i]) {
				t.Fatalf("sample %d at %d: %v", i, ts[i], vs[i])
			}
		}
		if len(ts) != len(want) {
			t.Fatalf("%d samples, want %d", len(ts), len(want))
		}
	})
}
