package logql

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// dyingContext is over once it has been asked a number of times.
type dyingContext struct {
	context.Context
	asked, life int
}

func (c *dyingContext) Err() error {
	if c.asked++; c.asked > c.life {
		return context.Canceled
	}
	return nil
}

// TestQueriesEndWithTheirContext checks that queries whose time is over within a batch, or
// behind the last one, do not go on to the end.
func TestQueriesEndWithTheirContext(t *testing.T) {
	logs := storetest.NewLogs()
	st := store.LogStream{Labels: model.NewLabels(model.Label{Name: "app", Value: "x"})}
	for i := range 1000 {
		st.Entries = append(st.Entries, store.LogEntry{Time: int64(i) * int64(time.Second), Line: fmt.Sprintf("n=%d", i)})
	}
	if err := logs.Append(t.Context(), "t", &store.LogBatch{Streams: []store.LogStream{st}}); err != nil {
		t.Fatal(err)
	}
	g := &Engine{Reader: logs, Index: logs}
	for _, query := range []string{
		`{app="x"} | line_format "{{ repeat 10 __line__ }}"`,
		`sum by (n) (count_over_time({app="x"} | logfmt | n > 1 [1h]))`,
		`quantile_over_time(0.5, {app="x"} | logfmt | unwrap n [10m]) by (app)`,
		`topk(3, sum by (n) (count_over_time({app="x"} | logfmt [1h])))`,
		`stddev(vector(1))`,
	} {
		e, err := Parse(query)
		if err != nil {
			t.Fatal(err)
		}
		p := Params{End: 1000 * int64(time.Second), Step: 10 * time.Second, Limit: 1000}
		whole := &dyingContext{Context: t.Context(), life: 1 << 30}
		if _, err := g.Query(whole, "t", e, p); err != nil {
			t.Fatal(err)
		}
		if whole.asked < 10 {
			t.Errorf("%s: asked only %d times whether to go on", query, whole.asked)
		}
		for life := 0; life < whole.asked; life += 1 + whole.asked/10 {
			ctx := &dyingContext{Context: t.Context(), life: life}
			if _, err := g.Query(ctx, "t", e, p); !errors.Is(err, context.Canceled) {
				t.Fatalf("%s: canceled after %d of %d questions, and yet: %v", query, life, whole.asked, err)
			}
			if ctx.asked > life+5 {
				t.Fatalf("%s: went on for %d questions", query, ctx.asked-life)
			}
		}
	}
}
