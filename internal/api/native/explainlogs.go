package native

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pharos-o11y/pharos/internal/logql"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/traceql"
)

// The log half of "why slow": which patterns of log lines selected traces have that the
// others have not. Lines are found by their trace id, in the structured metadata or in the
// text.

const (
	maxExplainLines    = 5000 // read of each kind
	maxExplainPatterns = 10
	traceIDField       = "trace_id"
	levelField         = "detected_level"
)

type explainedLogs struct {
	SelectedTraces int                `json:"selection_traces"` // whose lines were looked for
	BaselineTraces int                `json:"baseline_traces"`
	Patterns       []explainedPattern `json:"patterns"`
}

type explainedPattern struct {
	Pattern  string        `json:"pattern"`
	Service  string        `json:"service"`
	Level    string        `json:"level"`
	Selected explainedLine `json:"selection"`
	Baseline explainedLine `json:"baseline"`
	Sample   explainedLog  `json:"sample"`
}

type explainedLine struct {
	Lines  int `json:"lines"`
	Traces int `json:"traces"`
}

type explainedLog struct {
	Trace string  `json:"trace_id"`
	Time  float64 `json:"time_unix_ms"`
	Line  string  `json:"line"`
}

// tracedLine is a log line of one of the traces.
type tracedLine struct {
	explainedLog
	service, level string
}

// explainLogs reads the lines of the examples of both sides and compares their patterns.
func (a *API) explainLogs(ctx context.Context, tenant model.Tenant, e *traceql.Explanation, acct *store.Account) (*explainedLogs, error) {
	sides := map[string]int{} // of the trace ids: 1 for selected ones
	var ids []string
	var rng model.TimeRange
	for side, examples := range [2][]traceql.Example{e.Baseline.Examples, e.Selected.Examples} {
		for _, x := range examples[:min(len(examples), logTraces)] {
			id := x.Trace.String()
			if _, ok := sides[id]; !ok {
				ids = append(ids, id)
			}
			sides[id] = side
			if rng.Empty() {
				rng = model.TimeRange{From: x.Start, To: x.Start + x.Duration}
			}
			rng.From, rng.To = min(rng.From, x.Start), max(rng.To, x.Start+x.Duration)
		}
	}
	out := &explainedLogs{Patterns: []explainedPattern{}}
	for _, side := range sides {
		out.SelectedTraces += side
		out.BaselineTraces += 1 - side
	}
	caps := a.Logs.Caps()
	if len(ids) == 0 || !caps.FieldFilter || !caps.LineFilter {
		return out, nil
	}
	// A trace may go on around the span, and clocks differ.
	rng.From, rng.To = rng.From-int64(time.Minute), rng.To+int64(time.Minute)
	lines, err := a.linesOfTraces(ctx, tenant, ids, rng, acct)
	if err != nil {
		return nil, err
	}
	out.Patterns = comparePatterns(lines, sides, out)
	return out, nil
}

// linesOfTraces returns log lines that name one of ids.
func (a *API) linesOfTraces(ctx context.Context, tenant model.Tenant, ids []string, rng model.TimeRange, acct *store.Account) ([]tracedLine, error) {
	base := store.LogSelector{Range: rng, Direction: store.Backward, MetaNames: []string{traceIDField, levelField}, Account: acct, Limit: maxExplainLines}
	field, err := model.NewMatcher(model.MatchRegexp, traceIDField, strings.Join(ids, "|"))
	if err != nil {
		return nil, err
	}
	inField, inText := base, base
	inField.Fields = []store.FieldPredicate{{Matcher: field}}
	inText.Lines = []store.LineFilter{{Patterns: ids}}
	var out []tracedLine
	for _, sel := range []store.LogSelector{inField, inText} {
		n := 0
		for b, err := range a.Logs.Select(ctx, tenant, sel) {
			if err != nil {
				return nil, err
			}
			for i, line := range b.Lines {
				id, level := "", ""
				for _, c := range b.Meta {
					switch c.Name {
					case traceIDField:
						id = c.Values[i]
					case levelField:
						level = c.Values[i]
					}
				}
				known := slices.Contains(ids, id)
				if sel.Fields == nil {
					if known { // the first round has it
						continue
					}
					id = ids[slices.IndexFunc(ids, func(s string) bool { return strings.Contains(line, s) })]
				}
				service := cmp.Or(b.Stream.Get("service_name"), b.Stream.Get("service"), b.Stream.Get("job"))
				out = append(out, tracedLine{
					explainedLog{strings.Clone(id), millis(b.Times[i]), strings.Clone(line)}, strings.Clone(service), strings.Clone(level),
				})
				n++
			}
			if n >= maxExplainLines {
				break
			}
		}
	}
	return out, nil
}

// comparePatterns counts lines by pattern and side, and puts first what the larger share
// of selected traces has.
func comparePatterns(lines []tracedLine, sides map[string]int, total *explainedLogs) []explainedPattern {
	texts := make([]string, len(lines))
	for i := range lines {
		texts[i] = lines[i].Line
	}
	type key struct{ pattern, service, level string }
	type counts struct {
		explainedPattern
		traces [2]map[string]bool
	}
	found := map[key]*counts{}
	for i, pattern := range logql.LinePatterns(texts) {
		l := &lines[i]
		k := key{pattern, l.service, l.level}
		c := found[k]
		if c == nil {
			c = &counts{traces: [2]map[string]bool{{}, {}}}
			c.Pattern, c.Service, c.Level = pattern, l.service, l.level
			found[k] = c
		}
		side := sides[l.Trace]
		if c.Sample.Trace == "" || sides[c.Sample.Trace] < side {
			c.Sample = l.explainedLog
		}
		c.traces[side][l.Trace] = true
		if side == 1 {
			c.Selected.Lines++
		} else {
			c.Baseline.Lines++
		}
	}
	out := []explainedPattern{}
	for _, c := range found {
		c.Selected.Traces, c.Baseline.Traces = len(c.traces[1]), len(c.traces[0])
		if c.Selected.Traces > 0 {
			out = append(out, c.explainedPattern)
		}
	}
	share := func(p *explainedPattern) float64 {
		return float64(p.Selected.Traces)/float64(max(1, total.SelectedTraces)) - float64(p.Baseline.Traces)/float64(max(1, total.BaselineTraces))
	}
	slices.SortFunc(out, func(a, b explainedPattern) int {
		return cmp.Or(cmp.Compare(share(&b), share(&a)), cmp.Compare(b.Selected.Lines, a.Selected.Lines), cmp.Compare(a.Pattern, b.Pattern), cmp.Compare(a.Service, b.Service))
	})
	return out[:min(len(out), maxExplainPatterns)]
}
