package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// workload is one kind of data: how it is made, sent, checked and asked for.
type workload interface {
	name() string
	// send sends everything and returns the number of items and their raw size.
	send(ctx context.Context, c config, p *proc) (items int, raw int64, err error)
	// verify checks that all items can be queried.
	verify(ctx context.Context, p *proc, items int) error
	queries(p *proc) []query
}

// metricLoad is node_exporter-shaped: targets are scraped every 15 s, and a sender like
// Prometheus' forwards 2,000 samples a request.
type metricLoad struct {
	title                    string
	every                    time.Duration // between scrapes
	targets, series, scrapes int
	first, last              time.Time // of the samples; fixed by the first server of a run
}

const (
	scrapeEvery   = 15 * time.Second
	samplesAWrite = 2000
)

// month is the name of the workload over many days. Its server is started anew before it
// is asked, so that the first answers come out of cold caches.
const month = "month"

func (l *metricLoad) name() string { return l.title }

// seriesState is a series and where its value stands.
type seriesState struct {
	labels []byte // encoded Label fields of a TimeSeries
	kind   uint8
	value  float64
	step   float64
}

// The kinds of series that a node_exporter has, by how their values move.
const (
	kindCPU      = iota // seconds with two decimals
	kindBytes           // counter of bytes, large steps
	kindEvents          // counter, small integer steps, often none
	kindGauge           // bytes or counts that wander
	kindFraction        // load averages, temperatures: two decimals
	kindConstant        // sizes, info metrics
)

// shapes is the make-up of a target's series: a share of 20 each.
var shapes = []struct {
	kind   uint8
	share  int
	metric string
	label  string
}{
	{kindCPU, 6, "node_cpu_seconds_total", "cpu"},
	{kindBytes, 2, "node_network_receive_bytes_total", "device"},
	{kindBytes, 2, "node_disk_read_bytes_total", "device"},
	{kindEvents, 3, "node_netstat_events_total", "event"},
	{kindGauge, 2, "node_memory_field_bytes", "field"},
	{kindGauge, 1, "node_filesystem_avail_bytes", "mountpoint"},
	{kindFraction, 1, "node_hwmon_temp_celsius", "sensor"},
	{kindConstant, 2, "node_filesystem_size_bytes", "mountpoint"},
	{kindConstant, 1, "node_network_info", "device"},
}

var cpuModes = []string{"idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"}

// target makes the series of target t.
func (l *metricLoad) target(t int, rng *rand.Rand) []seriesState {
	all := make([]seriesState, 0, l.series)
	host := fmt.Sprintf("host-%04d:9100", t)
	for n := 0; len(all) < l.series; n++ {
		slot, sh := n%20, 0
		for ; slot >= shapes[sh].share; sh++ {
			slot -= shapes[sh].share
		}
		s := shapes[sh]
		labels := [][2]string{{"__name__", s.metric}}
		unit := fmt.Sprintf("%s%d", s.label[:3], n/20)
		if s.kind == kindCPU {
			i := n/20*s.share + slot
			labels = append(labels, [2]string{"cpu", fmt.Sprint(i / 8)}, [2]string{"instance", host}, [2]string{"job", "node"}, [2]string{"mode", cpuModes[i%8]})
		} else {
			unit += fmt.Sprintf("-%d", slot)
			lab := [2]string{s.label, unit}
			if s.label < "instance" {
				labels = append(labels, lab, [2]string{"instance", host}, [2]string{"job", "node"})
			} else {
				labels = append(labels, [2]string{"instance", host}, [2]string{"job", "node"}, lab)
			}
		}
		st := seriesState{kind: s.kind, labels: encodeLabels(labels), step: math.Exp(6 * rng.Float64())}
		switch s.kind {
		case kindConstant:
			st.value = float64(rng.Int64N(1 << 40))
		case kindFraction:
			st.value = 40
		default:
			st.value = float64(rng.Int64N(1 << 36))
			if s.kind == kindCPU {
				st.value = math.Round(st.value/1e4) / 100
			}
		}
		all = append(all, st)
	}
	return all
}

// next moves the value of s by one scrape.
func (s *seriesState) next(rng *rand.Rand) float64 {
	switch s.kind {
	case kindCPU:
		s.value = math.Round((s.value+15*rng.Float64()*min(1, s.step/100))*100) / 100
	case kindBytes:
		s.value += math.Floor(s.step * 1000 * rng.Float64())
	case kindEvents:
		if rng.IntN(3) == 0 {
			s.value += float64(rng.IntN(int(s.step) + 2))
		}
	case kindGauge:
		s.value += 4096 * float64(rng.IntN(513)-256)
	case kindFraction:
		s.value = math.Round((s.value+rng.Float64()-0.5)*100) / 100
	}
	return s.value
}

func encodeLabels(labels [][2]string) []byte {
	var out []byte
	for _, l := range labels {
		out = append(out, 1<<3|2)
		out = binary.AppendUvarint(out, uint64(2+len(l[0])+len(l[1])+sizeUvarint(len(l[0]))+sizeUvarint(len(l[1]))))
		out = appendString(out, 1, l[0])
		out = appendString(out, 2, l[1])
	}
	return out
}

func appendString(b []byte, field int, s string) []byte {
	b = append(b, byte(field<<3|2))
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func sizeUvarint(n int) int { return len(binary.AppendUvarint(nil, uint64(n))) }

// appendSeries appends a TimeSeries of one sample to a WriteRequest.
func appendSeries(b []byte, labels []byte, v float64, ms int64) []byte {
	var sample [24]byte
	p := append(sample[:0], 1<<3|1)
	p = binary.LittleEndian.AppendUint64(p, math.Float64bits(v))
	p = append(p, 2<<3)
	p = binary.AppendUvarint(p, uint64(ms))
	b = append(b, 1<<3|2)
	b = binary.AppendUvarint(b, uint64(len(labels)+2+len(p)))
	b = append(b, labels...)
	b = append(b, 2<<3|2, byte(len(p)))
	return append(b, p...)
}

func (l *metricLoad) send(ctx context.Context, c config, p *proc) (int, int64, error) {
	if l.first.IsZero() {
		l.last = time.Now().Truncate(l.every)
		l.first = l.last.Add(-time.Duration(l.scrapes-1) * l.every)
	}
	return spread(ctx, c.senders, func(ctx context.Context, w int, sent *progress) error {
		var series []seriesState
		var rngs []*rand.Rand
		for t := w; t < l.targets; t += c.senders {
			trng := rand.New(rand.NewPCG(uint64(t), 1)) // by target: the same for any number of senders
			for _, s := range l.target(t, trng) {
				series, rngs = append(series, s), append(rngs, trng)
			}
		}
		req := writeRequest{v2: c.write2}
		flush := func() error {
			n := req.n
			size, err := req.post(ctx, p.base+p.writePath)
			sent.add(n, size)
			return err
		}
		for k := range l.scrapes {
			ms := l.first.Add(time.Duration(k) * l.every).UnixMilli()
			for i := range series {
				req.add(series[i].labels, series[i].next(rngs[i]), ms)
				if req.n == samplesAWrite {
					if err := flush(); err != nil {
						return err
					}
				}
			}
		}
		if req.n > 0 {
			return flush()
		}
		return nil
	})
}

// post sends a body and wants a 2xx.
func post(ctx context.Context, url string, body []byte, contentType string, header map[string]string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return fmt.Errorf("POST %s: %s: %s", req.URL.Path, resp.Status, text)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func (l *metricLoad) verify(ctx context.Context, p *proc, items int) error {
	var exprs []string
	for _, sh := range shapes {
		expr := fmt.Sprintf(`sum(count_over_time(%s{job="node"}[%ds]))`, sh.metric, int(l.last.Sub(l.first).Seconds())+10)
		if !slices.Contains(exprs, expr) {
			exprs = append(exprs, expr)
		}
	}
	return countSamples(ctx, p, l.last, items, exprs...)
}

// countSamples checks that the values of expressions at a time add up to items.
func countSamples(ctx context.Context, p *proc, at time.Time, items int, exprs ...string) error {
	total := 0
	for _, expr := range exprs {
		body, err := p.get(ctx, "/api/v1/query?"+url.Values{"query": {expr}, "time": {fmt.Sprint(at.Unix())}}.Encode(), nil)
		if err != nil {
			return err
		}
		var r struct {
			Data struct {
				Result []struct{ Value [2]any }
			}
		}
		if err := json.Unmarshal(body, &r); err != nil {
			return err
		}
		for _, one := range r.Data.Result {
			n, err := strconv.Atoi(fmt.Sprint(one.Value[1]))
			if err != nil {
				return err
			}
			total += n
		}
	}
	if total != items {
		return fmt.Errorf("%d samples sent, queries count %d", items, total)
	}
	return nil
}

func (l *metricLoad) queries(*proc) []query {
	day := url.Values{"start": {fmt.Sprint(l.first.Unix())}, "end": {fmt.Sprint(l.last.Unix())}}
	ranged := func(name, expr string, step int) query {
		q := url.Values{"query": {expr}, "step": {fmt.Sprint(step)}, "start": day["start"], "end": day["end"], "nocache": {"1"}}
		return query{name: name, path: "/api/v1/query_range?" + q.Encode()}
	}
	instant := func(name, expr string) query {
		return query{name: name, path: "/api/v1/query?" + url.Values{"query": {expr}, "time": day["end"]}.Encode()}
	}
	if l.title == month {
		return []query{
			ranged("`sum by (mode) (rate(node_cpu_seconds_total[1h]))`, 1 h", `sum by (mode) (rate(node_cpu_seconds_total[1h]))`, 3600),
			ranged("`avg(avg_over_time(node_memory_field_bytes[6h]))`, 6 h", `avg(avg_over_time(node_memory_field_bytes[6h]))`, 6*3600),
			ranged("`max_over_time(node_hwmon_temp_celsius[1d])`, 1 d", `max_over_time(node_hwmon_temp_celsius[1d])`, 24*3600),
			ranged("`sum by (mode) (increase(node_cpu_seconds_total[7d]))`, 1 d", `sum by (mode) (increase(node_cpu_seconds_total[7d]))`, 24*3600),
			instant("instant `sum by (mode) (avg_over_time(node_cpu_seconds_total[28d]))`", `sum by (mode) (avg_over_time(node_cpu_seconds_total[28d]))`),
			ranged("one host: `node_filesystem_avail_bytes{instance=…}`, 1 h", `node_filesystem_avail_bytes{instance="host-0001:9100"}`, 3600),
		}
	}
	return []query{
		ranged("`sum by (instance) (rate(node_cpu_seconds_total[5m]))`, 15 s", `sum by (instance) (rate(node_cpu_seconds_total[5m]))`, 15),
		ranged("`sum by (mode) (rate(node_cpu_seconds_total[5m]))`, 60 s", `sum by (mode) (rate(node_cpu_seconds_total[5m]))`, 60),
		ranged("`topk(5, rate(node_network_receive_bytes_total[5m]))`, 60 s", `topk(5, rate(node_network_receive_bytes_total[5m]))`, 60),
		ranged("one host: `rate(node_cpu_seconds_total{instance=…}[1m])`, 15 s", `rate(node_cpu_seconds_total{instance="host-0001:9100"}[1m])`, 15),
		ranged("`avg_over_time(node_hwmon_temp_celsius[10m])`, 60 s", `avg_over_time(node_hwmon_temp_celsius[10m])`, 60),
		ranged("`1 - avail / size`, 60 s", `1 - sum by (instance) (node_filesystem_avail_bytes) / sum by (instance) (node_filesystem_size_bytes)`, 60),
		ranged("`quantile_over_time(0.9, node_memory_field_bytes[5m])`, 60 s", `sum(quantile_over_time(0.9, node_memory_field_bytes[5m]))`, 60),
		ranged("all series: `node_cpu_seconds_total`, 60 s", `node_cpu_seconds_total`, 60),
		ranged("subquery: `max_over_time(sum by (instance) (rate(…))[10m:1m])`, 60 s", `max_over_time(sum by (instance) (rate(node_network_receive_bytes_total[5m]))[10m:1m])`, 60),
		ranged("`sum by (host) (label_replace(rate(…), …))`, 60 s", `sum by (host) (label_replace(rate(node_disk_read_bytes_total[5m]), "host", "$1", "instance", "(.*):.*"))`, 60),
		instant("instant `sum by (__name__) ({job=\"node\"})`", `count by (__name__) ({job="node"})`),
		instant("instant regex on instance", `sum(node_cpu_seconds_total{instance=~"host-00[0-4].:9100"})`),
		{name: "label values of instance", path: "/api/v1/label/instance/values?" + day.Encode()},
	}
}
