package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"
)

type tracesCmd struct {
	queryFlags
	Limit int `help:"Traces to print." default:"20"`
}

// Run searches and prints.
func (c *tracesCmd) Run(ctx context.Context, s streams) error {
	from, to, err := c.window()
	if err != nil {
		return err
	}
	body, header, err := c.ask(ctx, "/api/search", "", url.Values{
		"q": {c.Expr}, "start": {strconv.FormatInt(from.Unix(), 10)}, "end": {strconv.FormatInt(to.Unix()+1, 10)},
		"limit": {strconv.Itoa(c.Limit)},
	})
	if err != nil || c.Output == "json" {
		return printRaw(s.out, body, err)
	}
	if hint := header.Get("X-Pharos-Hint"); hint != "" {
		fmt.Fprintln(s.err, "hint:", hint)
	}
	var res struct {
		Traces []struct {
			TraceID, RootServiceName, RootTraceName, StartTimeUnixNano string
			DurationMs                                                 float64
			SpanSets                                                   []struct{ Matched int }
			ServiceStats                                               map[string]struct{ SpanCount, ErrorCount int }
		}
	}
	if err := json.Unmarshal(body, &res); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	tw := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TRACE\tSTART\tDURATION\tSPANS\tERRORS\tMATCHED\tSERVICE\tNAME")
	for _, t := range res.Traces {
		ns, _ := strconv.ParseInt(t.StartTimeUnixNano, 10, 64)
		spans, failed, matched := 0, 0, 0
		for _, st := range t.ServiceStats {
			spans, failed = spans+st.SpanCount, failed+st.ErrorCount
		}
		for _, set := range t.SpanSets {
			matched += set.Matched
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", t.TraceID, time.Unix(0, ns).Format(time.RFC3339),
			time.Duration(t.DurationMs*float64(time.Millisecond)), spans, failed, matched, t.RootServiceName, t.RootTraceName)
	}
	return tw.Flush()
}

type traceCmd struct {
	serverFlag
	Output     string `help:"waterfall or json (the server's answer as it is)." enum:"waterfall,json" default:"waterfall"`
	Attributes bool   `short:"a" help:"Print the attributes and events of each span, too."`
	ID         string `arg:"" help:"The trace id: up to 32 hex digits."`
}

// Run fetches a trace and prints it.
func (c *traceCmd) Run(ctx context.Context, s streams) error {
	path, accept := "/api/v2/traces/"+url.PathEscape(c.ID), "application/protobuf"
	if c.Output == "json" {
		accept = ""
	}
	body, _, err := c.ask(ctx, path, accept, nil)
	if err != nil || c.Output == "json" {
		return printRaw(s.out, body, err)
	}
	td, err := traceOf(body)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if td.SpanCount() == 0 {
		return fmt.Errorf("trace %s is not stored", c.ID)
	}
	w := &waterfall{out: s.out, attributes: c.Attributes}
	w.load(td)
	return w.print()
}

// traceOf decodes field 1 of a TraceByIDResponse, which is what OTLP calls TracesData.
func traceOf(body []byte) (ptrace.Traces, error) {
	for len(body) > 0 {
		num, typ, n := protowire.ConsumeTag(body)
		if n < 0 {
			return ptrace.Traces{}, protowire.ParseError(n)
		}
		body = body[n:]
		if num == 1 && typ == protowire.BytesType {
			b, n := protowire.ConsumeBytes(body)
			if n < 0 {
				return ptrace.Traces{}, protowire.ParseError(n)
			}
			return (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(b)
		}
		if n = protowire.ConsumeFieldValue(num, typ, body); n < 0 {
			return ptrace.Traces{}, protowire.ParseError(n)
		}
		body = body[n:]
	}
	return ptrace.Traces{}, errors.New("it holds no trace")
}

// waterfall prints a trace as a tree with a time line.
type waterfall struct {
	out        io.Writer
	attributes bool

	spans    []waterfallSpan
	children map[pcommon.SpanID][]int
	roots    []int
	services map[string]bool
	failed   int
	start    pcommon.Timestamp
	end      pcommon.Timestamp
}

type waterfallSpan struct {
	ptrace.Span
	service string
	orphan  bool // its parent is not in the trace
}

// timeline is the width of the bars.
const timeline = 32

func (w *waterfall) load(td ptrace.Traces) {
	w.children, w.services = map[pcommon.SpanID][]int{}, map[string]bool{}
	ids := map[pcommon.SpanID]bool{}
	for _, rs := range td.ResourceSpans().All() {
		service := "?"
		if v, ok := rs.Resource().Attributes().Get("service.name"); ok {
			service = v.AsString()
		}
		w.services[service] = true
		for _, ss := range rs.ScopeSpans().All() {
			for _, sp := range ss.Spans().All() {
				w.spans = append(w.spans, waterfallSpan{Span: sp, service: service})
				ids[sp.SpanID()] = true
			}
		}
	}
	slices.SortStableFunc(w.spans, func(a, b waterfallSpan) int { return cmp.Compare(a.StartTimestamp(), b.StartTimestamp()) })
	w.start = w.spans[0].StartTimestamp()
	for i := range w.spans {
		sp := &w.spans[i]
		w.end = max(w.end, sp.EndTimestamp())
		if sp.Status().Code() == ptrace.StatusCodeError {
			w.failed++
		}
		up := sp.ParentSpanID()
		if sp.orphan = !up.IsEmpty() && !ids[up]; sp.orphan || up.IsEmpty() || up == sp.SpanID() {
			w.roots = append(w.roots, i)
			continue
		}
		w.children[up] = append(w.children[up], i)
	}
}

func (w *waterfall) print() error {
	fmt.Fprintf(w.out, "trace %s: %s, %d spans of %d services, %d failed, begins %s\n\n", w.spans[0].TraceID(),
		spanTime(w.start, w.end), len(w.spans), len(w.services), w.failed, w.start.AsTime().Local().Format(time.RFC3339Nano))
	type at struct {
		span   int
		prefix string // of its children
		branch string
	}
	var stack []at
	push := func(list []int, prefix string, root bool) {
		for k, i := range slices.Backward(list) {
			x := at{i, prefix, ""}
			switch {
			case root:
			case k == len(list)-1:
				x.prefix, x.branch = prefix+"   ", prefix+"└─ "
			default:
				x.prefix, x.branch = prefix+"│  ", prefix+"├─ "
			}
			stack = append(stack, x)
		}
	}
	push(w.roots, "", true)
	printed := map[int]bool{}
	for len(stack) > 0 {
		x := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if printed[x.span] { // spans that share an id
			continue
		}
		printed[x.span] = true
		if err := w.line(&w.spans[x.span], x.branch, x.prefix); err != nil {
			return err
		}
		push(w.children[w.spans[x.span].SpanID()], x.prefix, false)
	}
	if n := len(w.spans) - len(printed); n > 0 {
		fmt.Fprintf(w.out, "\n%d spans are their own ancestors and not shown\n", n)
	}
	return nil
}

// line prints one span.
func (w *waterfall) line(sp *waterfallSpan, branch, prefix string) error {
	var note string
	if sp.orphan {
		note = "  (parent " + sp.ParentSpanID().String() + " is missing)"
	}
	if sp.Status().Code() == ptrace.StatusCodeError {
		note += strings.TrimRight("  ! "+sp.Status().Message(), " ")
	}
	_, err := fmt.Fprintf(w.out, "%10s %10s |%s| %s%s  %s%s\n", spanTime(w.start, sp.StartTimestamp()), spanTime(sp.StartTimestamp(), sp.EndTimestamp()),
		w.bar(sp), branch, sp.service, sp.Name(), note)
	if !w.attributes {
		return err
	}
	indent := strings.Repeat(" ", 25+timeline) + prefix
	for k, v := range sp.Attributes().All() {
		fmt.Fprintf(w.out, "%s  %s=%s\n", indent, k, v.AsString())
	}
	for _, e := range sp.Events().All() {
		fmt.Fprintf(w.out, "%s  * %s at %s\n", indent, e.Name(), spanTime(w.start, e.Timestamp()))
		for k, v := range e.Attributes().All() {
			fmt.Fprintf(w.out, "%s    %s=%s\n", indent, k, strings.ReplaceAll(v.AsString(), "\n", "\n"+indent+"      "))
		}
	}
	return err
}

// bar is where the span lies in the trace.
func (w *waterfall) bar(sp *waterfallSpan) string {
	whole := float64(max(1, w.end-w.start))
	place := func(t pcommon.Timestamp) int {
		return min(timeline, int(float64(max(t, w.start)-w.start)/whole*timeline))
	}
	from := min(place(sp.StartTimestamp()), timeline-1)
	to := max(place(sp.EndTimestamp()), from+1)
	return strings.Repeat(" ", from) + strings.Repeat("=", to-from) + strings.Repeat(" ", timeline-to)
}

// spanTime is the time from a to b, to four digits.
func spanTime(a, b pcommon.Timestamp) string {
	d := time.Duration(max(0, int64(b)-int64(a)))
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= unit {
			return d.Round(unit / 1000).String()
		}
	}
	return d.String()
}
