package query

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

func TestCostlyAddsUpRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{})
		run := func(tenant model.Tenant, text string, took time.Duration, fail error) {
			_, _ = d.Do(t.Context(), Request{Tenant: tenant, Language: "promql", Text: text}, func(_ context.Context, acct *store.Account) error {
				time.Sleep(took) // synctest's clock
				if err := acct.Scanned(10, 1); err != nil {
					return err
				}
				return fail
			})
		}
		for range 3 {
			run("a", "cheap but often", time.Second, nil)
		}
		run("a", "slow once", 2*time.Second, errors.New("no"))
		run("b", "of another tenant", time.Hour, nil)
		got := d.Costly("a", 10)
		if len(got) != 2 || got[0].Text != "cheap but often" || got[1].Text != "slow once" {
			t.Fatalf("costly queries: %+v", got)
		}
		c := got[0]
		if c.Runs != 3 || c.Failed != 0 || c.Took != 3*time.Second || c.Longest != time.Second || c.Usage.BytesRead != 30 || c.Usage.RowsScanned != 3 {
			t.Errorf("sums: %+v", c)
		}
		if got[1].Failed != 1 {
			t.Errorf("failures of the other: %d, want 1", got[1].Failed)
		}
		if got := d.Costly("a", 1); len(got) != 1 {
			t.Errorf("%d queries, want 1", len(got))
		}
		for i := range maxCostly + 10 {
			run("a", fmt.Sprint("another ", i), time.Millisecond, nil)
		}
		if n := len(d.costly); n != maxCostly {
			t.Errorf("%d are remembered, want %d", n, maxCostly)
		}
		if got := d.Costly("a", 1); got[0].Text != "cheap but often" {
			t.Errorf("the costliest was forgotten: %+v", got[0])
		}
	})
}
