package promql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/features"
)

// Features returns the names of the parts of PromQL that Prometheus calls experimental:
// the values of its --enable-feature.
func Features() []string {
	return []string{"promql-experimental-functions", "promql-duration-expr", "promql-extended-range-selectors", "promql-binop-fill-modifiers"}
}

// newParser returns a parser of PromQL with some of the [Features].
func newParser(on []string) parser.Parser {
	return parser.NewParser(parser.Options{
		EnableExperimentalFunctions:  slices.Contains(on, "promql-experimental-functions"),
		ExperimentalDurationExpr:     slices.Contains(on, "promql-duration-expr"),
		EnableExtendedRangeSelectors: slices.Contains(on, "promql-extended-range-selectors"),
		EnableBinopFillModifiers:     slices.Contains(on, "promql-binop-fill-modifiers"),
	})
}

// missing returns the features that text needs beyond those of e; nil if none of them
// would make it valid.
func (e *Engine) missing(text string) []string {
	if _, err := newParser(Features()).ParseExpr(text); err != nil {
		return nil
	}
	var out []string
	for _, f := range Features() {
		without := slices.DeleteFunc(Features(), func(g string) bool { return g == f })
		if slices.Contains(e.features, f) {
			continue
		}
		if _, err := newParser(without).ParseExpr(text); err != nil {
			out = append(out, f)
		}
	}
	return out
}

// disabled is err, which says that text is invalid, with what to switch on if that is all
// it needs.
func (e *Engine) disabled(text string, err error) error {
	if need := e.missing(text); len(need) > 0 {
		return fmt.Errorf("%w (experimental in Prometheus and off: add %s to query.promql_features)", err, strings.Join(need, ", "))
	}
	return err
}

// Supported returns what the language of e has, in the words of Prometheus' features API: by
// category and name whether it is on.
func (e *Engine) Supported() map[string]map[string]bool {
	opts := e.engineOptions()
	r := features.NewRegistry()
	opts.FeatureRegistry = r
	promql.NewEngine(opts) // says what it has
	return r.Get()
}
