package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"
)

// load is how many customers a second ask for something at a time: a day of ten minutes
// between 20 and 40 requests a second, and some noise.
func (s *Shop) load(at time.Time) float64 {
	phase := 2 * math.Pi * float64(at.UnixMilli()%600_000) / 600_000
	return 29 + 8*math.Sin(phase) + 3*(s.rng.Float64()-0.5)
}

// about draws a duration around d: log-normal, a long tail to the right.
func (s *Shop) about(d time.Duration) time.Duration {
	return time.Duration(float64(d) * math.Exp(0.35*s.rng.NormFloat64()))
}

// simulate plans and plays the requests whose last operation ends between from and to, so
// nothing it sends lies in the future.
func (s *Shop) simulate(ctx context.Context, from, to time.Time) {
	d := to.Sub(from)
	n := int(s.load(to)*d.Seconds() + s.rng.Float64())
	ends := make([]time.Duration, n)
	for i := range ends {
		ends[i] = time.Duration(s.rng.Int64N(int64(d)))
	}
	slices.Sort(ends)
	total := 0
	for _, sc := range scenes {
		total += sc.weight
	}
	for _, end := range ends {
		pick := s.rng.IntN(total)
		i := 0
		for ; pick >= scenes[i].weight; i++ {
			pick -= scenes[i].weight
		}
		r := &request{shop: s, user: s.customer()}
		scenes[i].plan(r)
		s.play(ctx, r, from.Add(end))
	}
}

// agents are the user agents of customers.
//
//nolint:gochecknoglobals // read-only table
var agents = []string{
	"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile Safari/604.1",
	"shop-android/7.3.1 (Android 15)",
}

// currencies are what customers pay in.
//
//nolint:gochecknoglobals // read-only table
var currencies = []string{"EUR", "EUR", "USD", "USD", "GBP"}

func (s *Shop) customer() user {
	n := s.rng.IntN(2000)
	return user{
		id: fmt.Sprintf("user_%05d", n), session: fmt.Sprintf("sess_%012x", s.rng.Uint64()>>16),
		agent: agents[n%len(agents)], ip: fmt.Sprintf("198.51.100.%d", n%254+1), currency: currencies[n%len(currencies)],
	}
}

// play sends a planned request through the SDKs of its services; its last operation ends
// at end.
func (s *Shop) play(ctx context.Context, r *request, end time.Time) {
	last, notable := r.root.extent(), r.slow || r.root.notable()
	for _, n := range r.more {
		last = max(last, n.extent())
		notable = notable || n.notable()
	}
	p := &playing{keep: notable || s.keep >= 1 || s.rng.Float64() < s.keep}
	ctx = context.WithValue(ctx, playingKey{}, p)
	origin := end.Add(-last)
	sent := map[*op]trace.SpanContext{}
	s.playOp(ctx, p, r.root, origin, sent)
	for _, n := range r.more {
		s.playOp(ctx, p, n, origin, sent)
	}
}

func (s *Shop) playOp(ctx context.Context, p *playing, n *op, origin time.Time, sent map[*op]trace.SpanContext) {
	svc := s.svcs[n.svc]
	opts := []trace.SpanStartOption{trace.WithTimestamp(origin.Add(n.start)), trace.WithSpanKind(n.kind)}
	if p.keep {
		opts = append(opts, trace.WithAttributes(n.attrs...))
	}
	if n.link != nil && p.keep {
		opts = append(opts, trace.WithLinks(trace.Link{
			SpanContext: sent[n.link], Attributes: []attribute.KeyValue{attribute.String("link.kind", "message")},
		}))
	}
	ctx, span := svc.tracer.Start(ctx, n.name, opts...)
	if n.class == classProducer {
		sent[n] = span.SpanContext()
	}
	for _, k := range n.kids {
		s.playOp(ctx, p, k, origin, sent)
	}
	for i := range n.logs {
		s.playLog(ctx, p, svc, &n.logs[i], origin, span.SpanContext())
	}
	p.at = origin.Add(n.end)
	svc.measure(ctx, n, n.end-n.start)
	if !p.keep {
		span.End()
		return
	}
	for _, e := range n.events {
		span.AddEvent(e.name, trace.WithTimestamp(origin.Add(e.at)), trace.WithAttributes(e.attrs...))
	}
	if n.failed != "" {
		span.SetStatus(codes.Error, n.failed)
	} else if n.kind == trace.SpanKindServer {
		span.SetStatus(codes.Ok, "")
	}
	span.End(trace.WithTimestamp(p.at))
}

func (s *Shop) playLog(ctx context.Context, p *playing, svc *service, l *logLine, origin time.Time, sc trace.SpanContext) {
	if !p.keep {
		return
	}
	at := origin.Add(l.at)
	if l.file {
		if s.files != nil {
			s.files.add(svc.name, at, jsonLine(l, at, sc))
		}
		return
	}
	var rec log.Record
	rec.SetTimestamp(at)
	rec.SetObservedTimestamp(at)
	rec.SetSeverity(l.level)
	rec.SetSeverityText(levelText(l.level))
	if l.json {
		rec.SetBody(attribute.StringValue(jsonLine(l, at, sc)))
	} else {
		rec.SetBody(attribute.StringValue(l.body))
	}
	rec.AddAttributes(l.attrs...)
	rec.AddAttributes(attribute.String("level", levelText(l.level)), attribute.String("logger", svc.name+".app"))
	svc.logger.Emit(ctx, rec)
}

func levelText(l log.Severity) string {
	switch {
	case l >= log.SeverityError:
		return "error"
	case l >= log.SeverityWarn:
		return "warn"
	case l >= log.SeverityInfo:
		return "info"
	}
	return "debug"
}

// jsonLine renders a log line as the JSON loggers of services do: fixed keys first.
func jsonLine(l *logLine, at time.Time, sc trace.SpanContext) string {
	var b strings.Builder
	field := func(key string, value any) {
		if b.Len() > 0 {
			b.WriteByte(',')
		} else {
			b.WriteByte('{')
		}
		k, _ := json.Marshal(key)
		v, _ := json.Marshal(value) // strings and numbers always can
		b.Write(k)
		b.WriteByte(':')
		b.Write(v)
	}
	field("timestamp", at.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	field("level", levelText(l.level))
	field("message", l.body)
	for _, a := range l.attrs {
		field(string(a.Key), a.Value.AsInterface())
	}
	field("trace_id", sc.TraceID().String())
	field("span_id", sc.SpanID().String())
	b.WriteByte('}')
	return b.String()
}
