package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/snappy"
)

// logLoad is what an agent pushes: streams labelled job, service and instance; 70% of the
// lines are text and 30% JSON, about 150 bytes each.
type logLoad struct {
	lines, streams int
	perPush        int // streams of a push
	senders        int // concurrent pushes
	first, last    time.Time
}

const linesAPush = 1000

// rareToken stands in one line of about 100,000.
const rareToken = "deadbeefcafe"

func (l *logLoad) name() string { return "logs" }

func streamLabels(n int) string {
	return fmt.Sprintf(`{job="bench", service="svc-%02d", instance="pod-%04d", environment="production"}`, n%40, n)
}

var (
	verbs  = []string{"GET", "GET", "GET", "POST", "PUT", "DELETE"}
	paths  = []string{"/api/users/", "/api/orders/", "/api/products/", "/api/carts/", "/internal/jobs/"}
	levels = []string{"INFO", "INFO", "INFO", "INFO", "INFO", "INFO", "DEBUG", "DEBUG", "WARN", "ERROR"}
	tables = []string{"users", "orders", "products", "carts", "sessions"}
)

// line appends line i of the workload, written at t.
func appendLine(b []byte, rng *rand.Rand, t time.Time) []byte {
	level, path := levels[rng.IntN(len(levels))], paths[rng.IntN(len(paths))]
	status := 200
	switch n := rng.IntN(100); {
	case n < 2:
		status = 500 + rng.IntN(4)
	case n < 8:
		status = 404
	}
	id, ms, trace := rng.IntN(100_000), rng.IntN(900), rng.Uint64()
	if rng.IntN(10) < 3 {
		b = append(b, `{"timestamp":"`...)
		b = t.AppendFormat(b, time.RFC3339Nano)
		return fmt.Appendf(b, `","level":"%s","message":"request handled","method":"%s","endpoint":"%s{id}","status_code":%d,"duration_ms":%d,"user_id":"user_%05d","trace_id":"%016x%016x"}`,
			level, verbs[rng.IntN(len(verbs))], path, status, ms, id, trace, trace*0x9e3779b97f4a7c15)
	}
	b = t.AppendFormat(b, "2006-01-02 15:04:05.000")
	switch kind := rng.IntN(100); {
	case kind < 70:
		b = fmt.Appendf(b, " %-5s [worker-%d] %s %s%d from 10.%d.%d.%d status=%d took=%dms trace=%016x", level, rng.IntN(16), verbs[rng.IntN(len(verbs))], path, id, rng.IntN(256), rng.IntN(256), rng.IntN(256), status, ms, trace)
	case kind < 95:
		b = fmt.Appendf(b, " %-5s [db-pool] query on table %s returned %d rows in %d.%03dms (connection %d of 64)", level, tables[rng.IntN(len(tables))], id%977, ms, id%1000, rng.IntN(64))
	default:
		b = fmt.Appendf(b, " ERROR [worker-%d] com.example.shop.PaymentException: upstream timed out after %dms at com.example.shop.Client.call(Client.java:%d)", rng.IntN(16), ms*10, rng.IntN(400))
	}
	if rng.IntN(100_000) == 0 {
		b = append(b, " marker="+rareToken...)
	}
	return b
}

// pick draws the streams of a push of sender w.
func (l *logLoad) pick(rng *rand.Rand, w int) []int {
	names := make([]int, 0, 8)
	for len(names) < min(l.perPush, l.streams/l.senders) {
		s := rng.IntN(l.streams)
		s -= s % l.senders
		if s += w; s < l.streams && !slices.Contains(names, s) {
			names = append(names, s)
		}
	}
	return names
}

func (l *logLoad) send(ctx context.Context, c config, p *proc) (int, int64, error) {
	if l.first.IsZero() {
		l.last = time.Now().Truncate(time.Second)
		l.first = l.last.Add(-time.Hour)
	}
	l.senders = min(c.senders, l.streams)
	pushes := (l.lines + linesAPush - 1) / linesAPush
	return spread(ctx, l.senders, func(ctx context.Context, w int, sent *progress) error {
		var body, line, stream, packed []byte
		mine := make([][]byte, 0, 8) // streams of this push: entries encoded
		var names []int
		for n := w; n < pushes; n += l.senders {
			// By push: the same for any number of senders. A push is a few streams of
			// consecutive lines; streams belong to one sender, so each is in order.
			rng := rand.New(rand.NewPCG(uint64(n), 2))
			count := min(linesAPush, l.lines-n*linesAPush)
			at := l.first.Add(time.Duration(float64(n) / float64(pushes) * float64(l.last.Sub(l.first))))
			step := l.last.Sub(l.first) / time.Duration(l.lines+1)
			names = l.pick(rng, w)
			mine = append(mine[:0], make([][]byte, len(names))...)
			size := 0
			for i := range count {
				t := at.Add(time.Duration(i) * step)
				line = appendLine(line[:0], rng, t)
				size += len(line)
				k := i % len(mine)
				mine[k] = appendEntry(mine[k], t, line)
			}
			body = body[:0]
			for k, entries := range mine {
				stream = appendString(stream[:0], 1, streamLabels(names[k]))
				body = append(body, 1<<3|2)
				body = binary.AppendUvarint(body, uint64(len(stream)+len(entries)))
				body = append(append(body, stream...), entries...)
			}
			packed = snappy.Encode(packed[:cap(packed)], body)
			if err := post(ctx, p.base+p.pushPath, packed, "application/x-protobuf", nil); err != nil {
				return err
			}
			sent.add(count, size)
		}
		return nil
	})
}

// appendEntry appends an EntryAdapter to a StreamAdapter.
func appendEntry(b []byte, t time.Time, line []byte) []byte {
	var ts [24]byte
	p := append(ts[:0], 1<<3)
	p = binary.AppendUvarint(p, uint64(t.Unix()))
	p = append(p, 2<<3)
	p = binary.AppendUvarint(p, uint64(t.Nanosecond()))
	b = append(b, 2<<3|2)
	b = binary.AppendUvarint(b, uint64(2+len(p)+1+sizeUvarint(len(line))+len(line)))
	b = append(b, 1<<3|2, byte(len(p)))
	b = append(b, p...)
	b = append(b, 2<<3|2)
	b = binary.AppendUvarint(b, uint64(len(line)))
	return append(b, line...)
}

func (l *logLoad) verify(ctx context.Context, p *proc, items int) error {
	var got string
	if p.lang == "logsql" {
		body, err := p.get(ctx, "/select/logsql/query?"+url.Values{"query": {`{job="bench"} | stats count() n`}, "start": l.from(), "end": l.to()}.Encode(), nil)
		if err != nil {
			return err
		}
		var r struct{ N string }
		if err := json.Unmarshal(body, &r); err != nil {
			return err
		}
		got = r.N
	} else {
		body, err := p.get(ctx, "/loki/api/v1/query?"+url.Values{"query": {`sum(count_over_time({job="bench"}[2h]))`}, "time": {strconv.FormatInt(l.last.Add(time.Minute).UnixNano(), 10)}}.Encode(), nil)
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
		if len(r.Data.Result) == 1 {
			got = fmt.Sprint(r.Data.Result[0].Value[1])
		}
	}
	if got != strconv.Itoa(items) {
		return fmt.Errorf("%d lines sent, query counts %q", items, got)
	}
	return nil
}

func (l *logLoad) from() []string { return []string{strconv.FormatInt(l.first.Unix(), 10)} }
func (l *logLoad) to() []string   { return []string{strconv.FormatInt(l.last.Unix()+1, 10)} }

// trace returns the trace id of a line in the middle of the load.
func (l *logLoad) trace() string {
	n := l.lines / linesAPush / 2
	rng := rand.New(rand.NewPCG(uint64(n), 2))
	l.pick(rng, n%l.senders)
	for {
		line := string(appendLine(nil, rng, l.first))
		if _, rest, ok := strings.Cut(line, "trace="); ok {
			return rest[:16]
		}
	}
}
