package promql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// Features returns the names of the parts of PromQL that Prometheus calls experimental:
// the values of its --enable-feature.
func Features() []string {
	return []string{"promql-experimental-functions", "promql-duration-expr", "promql-extended-range-selectors", "promql-binop-fill-modifiers"}
}

// newParser returns a parser of PromQL with some of the [Features].
func newParser(features []string) parser.Parser {
	return parser.NewParser(parser.Options{
		EnableExperimentalFunctions:  slices.Contains(features, "promql-experimental-functions"),
		ExperimentalDurationExpr:     slices.Contains(features, "promql-duration-expr"),
		EnableExtendedRangeSelectors: slices.Contains(features, "promql-extended-range-selectors"),
		EnableBinopFillModifiers:     slices.Contains(features, "promql-binop-fill-modifiers"),
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
