package app

import (
	"context"
	"strings"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// traceReferences returns the traces that exemplars and log entries of tenant name in r,
// Unix nanoseconds: sampling after the fact keeps what a chart or a log line links to.
func (a *App) traceReferences(ctx context.Context, tenant model.Tenant, r model.TimeRange) (map[model.TraceID]struct{}, error) {
	refs := map[model.TraceID]struct{}{}
	add := func(text string) {
		if id, err := model.ParseTraceID(text); err == nil {
			refs[id] = struct{}{}
		}
	}
	const ms = 1_000_000
	inMS := model.TimeRange{From: r.From / ms, To: r.To/ms + 1}
	for s, err := range a.metrics.Exemplars(ctx, tenant, store.MetricSelector{All: true, Range: inMS}) {
		if err != nil {
			return nil, err
		}
		for _, e := range s.Exemplars {
			for _, l := range e.Labels {
				if isTraceID(l.Name) {
					add(l.Value)
				}
			}
		}
	}
	names := []string{"trace_id", "traceid", "traceId", "traceID", "trace.id"}
	for rows, err := range a.logs.Select(ctx, tenant, store.LogSelector{Range: r, NoLine: true, MetaNames: names}) {
		if err != nil {
			return nil, err
		}
		for _, c := range rows.Meta {
			for _, v := range c.Values {
				add(v)
			}
		}
	}
	return refs, nil
}

// isTraceID reports whether a label of an exemplar is one that holds a trace id.
func isTraceID(name string) bool {
	return strings.EqualFold(name, "trace_id") || strings.EqualFold(name, "traceid")
}
