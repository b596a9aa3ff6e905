package promql

import (
	"errors"
	"strings"
	"testing"
)

// TestFeatures parses what Prometheus calls experimental with each feature on and off.
func TestFeatures(t *testing.T) {
	for _, c := range []struct{ text, need string }{
		{`sum by (job) (rate(up[5m]))`, ""},
		{`limitk(2, up)`, "promql-experimental-functions"},
		{`limit_ratio(0.5, up)`, "promql-experimental-functions"},
		{`info(up)`, "promql-experimental-functions"},
		{`sort_by_label(up, "job")`, "promql-experimental-functions"},
		{`mad_over_time(up[5m])`, "promql-experimental-functions"},
		{`ts_of_max_over_time(up[5m])`, "promql-experimental-functions"},
		{`double_exponential_smoothing(up[5m], 0.5, 0.5)`, "promql-experimental-functions"},
		{`rate(up[5m * 2])`, "promql-duration-expr"},
		{`up offset (step() + 1m)`, "promql-duration-expr"},
		{`rate(up[5m] smoothed)`, "promql-extended-range-selectors"},
		{`increase(up[5m] anchored)`, "promql-extended-range-selectors"},
		{`up + fill (0) up`, "promql-binop-fill-modifiers"},
		{`limitk(2, rate(up[5m + 1m]))`, "promql-experimental-functions, promql-duration-expr"},
	} {
		_, err := New(Options{}).Parse(c.text)
		switch {
		case c.need == "":
			if err != nil {
				t.Errorf("%s: %v", c.text, err)
			}
			continue
		case !errors.Is(err, ErrParse) || !strings.HasSuffix(err.Error(), "add "+c.need+" to query.promql_features)"):
			t.Errorf("%s: %v", c.text, err)
		}
		if _, err := New(Options{Features: strings.Split(c.need, ", ")}).Parse(c.text); err != nil {
			t.Errorf("%s, switched on: %v", c.text, err)
		}
	}
	for _, on := range []bool{false, true} {
		var opts Options
		if on {
			opts.Features = Features()
		}
		s := New(opts).Supported()
		if s["promql_functions"]["mad_over_time"] != on || !s["promql_functions"]["rate"] || s["promql"]["duration_expr"] != on {
			t.Errorf("experimental %v: supported are %v", on, s)
		}
	}
	for _, text := range []string{`limitk(2, `, `nosuch(up)`} {
		if _, err := New(Options{}).Parse(text); err == nil || strings.Contains(err.Error(), "promql_features") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
