package traceql

import (
	"errors"
	"testing"

	"github.com/pharos-o11y/pharos/internal/store"
)

// FuzzEval runs whatever parses: nothing may panic, and errors are of known kinds.
func FuzzEval(f *testing.F) {
	for _, file := range []string{"testdata/behaviour.test", "testdata/metrics.test"} {
		for _, b := range behaviours(f, file) {
			f.Add(b.query)
		}
	}
	valid, _ := parseCases(f)
	for _, c := range valid {
		f.Add(c.Q)
	}
	s := fixture(f)
	f.Fuzz(func(t *testing.T, q string) {
		e, err := Parse(q)
		if err != nil {
			return
		}
		acct := &store.Account{MaxMemory: 1 << 20}
		allowed := func(err error) bool {
			return err == nil || errors.Is(err, store.ErrUnsupported) || errors.Is(err, store.ErrTooBroad) || errors.Is(err, ErrParse)
		}
		if _, err := Search(t.Context(), s, tenant, e, Params{Range: fixtureRange, Account: acct}); !allowed(err) {
			t.Errorf("search: %v", err)
		}
		if e.IsMetrics() {
			if _, err := Metrics(t.Context(), s, tenant, e, MetricParams{Start: fixtureRange.From, End: fixtureRange.To, Step: 1e10, Account: acct}); !allowed(err) {
				t.Errorf("metrics: %v", err)
			}
		}
		if err := acct.Hold(1 << 20); err != nil {
			t.Errorf("memory is not given back: %v", err)
		}
	})
}
