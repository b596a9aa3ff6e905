package query

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pharos-o11y/pharos/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDoBoundsQueriesPerTenantAndInAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{MaxConcurrent: 3, MaxTenantConcurrent: 2, MaxWaiting: 2, MaxWait: time.Minute})
		release := make(chan struct{})
		var wg sync.WaitGroup
		start := func(tenant string, want error) {
			wg.Go(func() {
				_, err := d.Do(t.Context(), Request{Tenant: "a", Text: tenant}, func(context.Context, *store.Account) error {
					<-release
					return nil
				})
				if !errors.Is(err, want) {
					t.Errorf("%s: error %v, want %v", tenant, err, want)
				}
			})
			synctest.Wait()
		}
		for range 4 { // two run, two wait
			start("a", nil)
		}
		if n := len(d.Running()); n != 2 {
			t.Errorf("%d run, want 2", n)
		}
		start("a", store.ErrOverloaded) // the line is full
		close(release)
		wg.Wait()
	})
}

func TestWaitingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{MaxConcurrent: 1, MaxWait: time.Second})
		release := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = d.Do(t.Context(), Request{Tenant: "a"}, func(context.Context, *store.Account) error { <-release; return nil })
		})
		synctest.Wait()
		if _, err := d.Do(t.Context(), Request{Tenant: "b"}, nil); !errors.Is(err, store.ErrOverloaded) {
			t.Errorf("error %v, want ErrOverloaded", err)
		}
		close(release)
		wg.Wait()
		if _, err := d.Do(t.Context(), Request{Tenant: "b"}, func(context.Context, *store.Account) error { return nil }); err != nil {
			t.Errorf("slot was not given back: %v", err)
		}
	})
}

func TestTimeoutCancelAndSlowList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{Timeout: 10 * time.Second, Slow: 5 * time.Second})
		wait := func(ctx context.Context, acct *store.Account) error {
			if err := acct.Hold(100); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		}
		st, err := d.Do(t.Context(), Request{Tenant: "a", Text: "slow"}, wait)
		if !errors.Is(err, context.DeadlineExceeded) || st.Run != 10*time.Second || st.PeakMemory != 100 {
			t.Errorf("error %v, stats %+v", err, st)
		}
		if s := d.Slow(); len(s) != 1 || s[0].Text != "slow" {
			t.Errorf("slow list %+v", s)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := d.Do(t.Context(), Request{Tenant: "a"}, wait); !errors.Is(err, ErrCanceled) {
				t.Errorf("error %v, want ErrCanceled", err)
			}
		})
		synctest.Wait()
		id := d.Running()[0].ID
		if d.Cancel("b", id) {
			t.Error("another tenant canceled the query")
		}
		if !d.Cancel("a", id) {
			t.Error("cancel found no query")
		}
		wg.Wait()
		if u := d.memory.Usage(); u.PeakMemory != 100 || d.memory.Hold(1<<30) != nil {
			t.Errorf("memory was not given back: %+v", u)
		}
	})
}

// TestPanicLeavesNothingBehind lets a query hit a bug: its memory must be given back, and
// it must leave the list.
func TestPanicLeavesNothingBehind(t *testing.T) {
	d := New(Options{MaxMemory: 100})
	func() {
		defer func() { _ = recover() }()
		_, _ = d.Do(t.Context(), Request{}, func(_ context.Context, acct *store.Account) error {
			if err := acct.Hold(100); err != nil {
				t.Error(err)
			}
			panic("bug")
		})
	}()
	if rs := d.Running(); len(rs) != 0 {
		t.Errorf("running: %v", rs)
	}
	if err := d.memory.Hold(100); err != nil {
		t.Error(err)
	}
}
