package metricstore

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// fleet makes samples shaped like those of node exporters: constants, counters, seconds
// with two decimals, sizes in pages, and some noise.
type fleet struct {
	rnd    *rand.Rand
	labels []model.Labels
	keys   [][]byte
	state  []float64
	byKey  map[string]model.Labels
}

const seriesPerTarget = 800

func newFleet(targets int) *fleet {
	f := &fleet{rnd: rand.New(rand.NewPCG(1, 2)), byKey: map[string]model.Labels{}}
	for t := range targets {
		for i := range seriesPerTarget {
			ls := model.LabelsFromMap(map[string]string{
				model.MetricName: fmt.Sprintf("node_metric_%d_total", i/8),
				"instance":       fmt.Sprintf("host-%d.example.com:9100", t), "job": "node",
				"device": fmt.Sprint("eth", i%8), "cluster": "production-eu-west-1",
			})
			key := labelKey(nil, ls)
			f.labels = append(f.labels, ls)
			f.keys = append(f.keys, key)
			f.byKey[string(key)] = ls
		}
	}
	f.state = make([]float64, len(f.labels))
	for i := range f.state {
		f.state[i] = float64(f.rnd.IntN(1_000_000))
	}
	return f
}

func (f *fleet) value(i int) float64 {
	switch k := i % 20; {
	case k < 9: // rarely changes
		if f.rnd.IntN(5000) == 0 {
			f.state[i]++
		}
	case k < 13: // counter, often idle
		if f.rnd.IntN(3) == 0 {
			f.state[i] += float64(f.rnd.IntN(50))
		}
	case k < 16: // seconds
		f.state[i] += float64(f.rnd.IntN(400)) / 100
		return float64(int64(f.state[i]*100+0.5)) / 100
	case k < 18: // bytes in pages
		return (f.state[i] + float64(f.rnd.IntN(1000))) * 4096
	case k < 19: // bytes
		f.state[i] += float64(f.rnd.IntN(100_000))
	default: // ratio
		return float64(f.rnd.IntN(10_000)) / 10_000
	}
	return f.state[i]
}

// scrape fills b with one sample of the series [from, to).
func (f *fleet) scrape(b *store.MetricBatch, from, to int, at int64) {
	b.Reset()
	b.Decode = f.decode
	for i := from; i < to; i++ {
		n := len(b.Series)
		if n < cap(b.Series) {
			b.Series = b.Series[:n+1]
		} else {
			b.Series = append(b.Series, store.SeriesWrite{})
		}
		s := &b.Series[n]
		s.Key = f.keys[i]
		s.Samples = append(s.Samples[:0], store.Sample{Time: at, Value: f.value(i)})
	}
}

func (f *fleet) decode(key []byte, dst model.Labels) (model.Labels, error) {
	return append(dst, f.byKey[string(key)]...), nil
}

func cpuSeconds() float64 {
	var ru syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	return float64(ru.Utime.Nano()+ru.Stime.Nano()) / 1e9
}

// perItem reports the CPU time since begin (of all threads: the machine may be busy) for
// each of n items.
func perItem(b *testing.B, begin float64, n int, unit string) {
	b.ReportMetric((cpuSeconds()-begin)*1e9/float64(n), unit)
}

func diskBytes(b *testing.B, dir string) (n int64) {
	b.Helper()
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

// BenchmarkIngest writes a quarter of a day of a small fleet and merges it: CPU seconds
// per million samples, bytes on disk and in the log per sample.
func BenchmarkIngest(b *testing.B) {
	for b.Loop() {
		dir := b.TempDir()
		now := time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC)
		opts := testOptions()
		opts.Now = func() time.Time { return now }
		e := openEngine(b, dir, opts)
		f := newFleet(10)
		var batch store.MetricBatch
		total, cpu, flush, wal := 0, 0.0, 0.0, int64(0)
		logStart := e.log.End()
		for scrape := range 1440 {
			now = now.Add(15 * time.Second)
			for from := 0; from < len(f.labels); from += 2000 {
				f.scrape(&batch, from, min(from+2000, len(f.labels)), now.UnixMilli())
				begin := cpuSeconds()
				if err := e.Append(context.Background(), testTenant, &batch); err != nil {
					b.Fatal(err)
				}
				cpu += cpuSeconds() - begin
				total += len(batch.Series)
			}
			if scrape%240 == 239 {
				wal = int64(e.log.End() - logStart)
				begin := cpuSeconds()
				if err := e.Flush(context.Background()); err != nil {
					b.Fatal(err)
				}
				flush += cpuSeconds() - begin
			}
		}
		begin := cpuSeconds()
		now = now.Add(48 * time.Hour)
		if err := e.Merge(context.Background()); err != nil {
			b.Fatal(err)
		}
		merge := cpuSeconds() - begin
		m := float64(total) / 1e6
		b.ReportMetric(cpu/m, "append-s/M")
		b.ReportMetric(flush/m, "flush-s/M")
		b.ReportMetric(merge/m, "merge-s/M")
		b.ReportMetric(float64(wal)/float64(total), "wal-B/sample")
		b.ReportMetric(float64(diskBytes(b, filepath.Join(dir, "metrics")))/float64(total), "disk-B/sample")
		e.close(b)
	}
}

// BenchmarkAppendKnown appends one sample to each of 2,000 known series.
func BenchmarkAppendKnown(b *testing.B) {
	opts := testOptions()
	now := time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC)
	opts.Now = func() time.Time { return now }
	opts.HeadBytes = 1 << 40
	e := openEngine(b, b.TempDir(), opts)
	defer e.close(b)
	f := newFleet(10)
	var batch store.MetricBatch
	n, cpu := 0, 0.0
	for b.Loop() {
		now = now.Add(15 * time.Second)
		f.scrape(&batch, 0, 2000, now.UnixMilli())
		begin := cpuSeconds()
		if err := e.Append(context.Background(), testTenant, &batch); err != nil {
			b.Fatal(err)
		}
		cpu += cpuSeconds() - begin
		n += 2000
	}
	b.ReportMetric(cpu*1e9/float64(n), "cpu-ns/sample")
}

// BenchmarkAppendNew appends the first sample of 8,000 series.
func BenchmarkAppendNew(b *testing.B) {
	f := newFleet(10)
	var batch store.MetricBatch
	cpu := 0.0
	for b.Loop() {
		e := openEngine(b, b.TempDir(), testOptions())
		f.scrape(&batch, 0, len(f.keys), e.opts.Now().UnixMilli())
		begin := cpuSeconds()
		if err := e.Append(context.Background(), testTenant, &batch); err != nil {
			b.Fatal(err)
		}
		cpu += cpuSeconds() - begin
		e.close(b)
	}
	b.ReportMetric(cpu*1e9/float64(b.N)/float64(len(f.keys)), "cpu-ns/series")
}

// BenchmarkSelect reads 8,000 series of six hours: from five parts and the head, from six
// parts, from one merged part.
func BenchmarkSelect(b *testing.B) {
	now := time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC)
	opts := testOptions()
	opts.Now = func() time.Time { return now }
	e := openEngine(b, b.TempDir(), opts)
	defer e.close(b)
	f := newFleet(10)
	var batch store.MetricBatch
	for i := range 1440 {
		now = now.Add(15 * time.Second)
		f.scrape(&batch, 0, len(f.labels), now.UnixMilli())
		if err := e.Append(context.Background(), testTenant, &batch); err != nil {
			b.Fatal(err)
		}
		if i%240 == 239 && i < 1300 {
			if err := e.Flush(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	}
	for _, state := range []string{"head", "parts", "merged"} {
		if state == "parts" {
			if err := e.Flush(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
		if state == "merged" {
			if err := e.Merge(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
		for name, span := range map[string]time.Duration{"6h": 6 * time.Hour, "5m": 5 * time.Minute} {
			b.Run(state+"/"+name, func(b *testing.B) {
				var ts []int64
				var vs []float64
				n, series := 0, 0
				begin := cpuSeconds()
				for b.Loop() {
					ctx, cancel := context.WithCancel(context.Background())
					sel := store.MetricSelector{All: true, Range: model.TimeRange{From: now.Add(-span).UnixMilli(), To: now.UnixMilli() + 1}}
					for x, err := range e.Select(ctx, testTenant, sel) {
						if err != nil {
							b.Fatal(err)
						}
						if ts, vs, err = x.Samples(ts[:0], vs[:0]); err != nil {
							b.Fatal(err)
						}
						n += len(ts)
						series++
					}
					cancel()
				}
				perItem(b, begin, n, "cpu-ns/sample")
				perItem(b, begin, series, "cpu-ns/series")
			})
		}
	}
}

// BenchmarkChunk measures the codec of parts alone.
func BenchmarkChunk(b *testing.B) {
	f := newFleet(1)
	ts, vs := make([]int64, 1440), make([]float64, 1440)
	var chunks [][]byte
	var enc codec.FloatEncoder
	for i := range 20 {
		for j := range ts {
			ts[j], vs[j] = int64(j)*15000, f.value(i)
		}
		chunks = append(chunks, appendFloatChunk(nil, ts, vs, &enc))
	}
	b.Run("decode", func(b *testing.B) {
		var dec codec.FloatDecoder
		begin := cpuSeconds()
		for b.Loop() {
			for _, c := range chunks {
				var err error
				if ts, vs, err = decodeFloatChunk(ts[:0], vs[:0], c, 1440, &dec); err != nil {
					b.Fatal(err)
				}
			}
		}
		perItem(b, begin, b.N*len(chunks)*1440, "cpu-ns/sample")
	})
}
