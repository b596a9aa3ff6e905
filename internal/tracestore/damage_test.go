package tracestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// texts returns each span of td as JSON with its resource and scope, so that wrong bytes
// show.
func texts(t *testing.T, td ptrace.Traces) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				one := ptrace.NewTraces()
				r := one.ResourceSpans().AppendEmpty()
				rs.Resource().CopyTo(r.Resource())
				s := r.ScopeSpans().AppendEmpty()
				ss.Scope().CopyTo(s.Scope())
				span.CopyTo(s.Spans().AppendEmpty())
				b, err := (&ptrace.JSONMarshaler{}).MarshalTraces(one)
				if err != nil {
					t.Fatal(err)
				}
				out[string(b)] = true
			}
		}
	}
	return out
}

// damageDir writes two parts and two records of the log that no part covers.
func damageDir(t *testing.T) (dir string, want map[model.TraceID]map[string]bool) {
	t.Helper()
	dir = t.TempDir()
	d, err := openDir(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	g := newShop(3, storetest.Now().Add(-1e12))
	want = map[model.TraceID]map[string]bool{}
	for i := range 6 {
		td := g.batch(30)
		if err := d.s.Append(t.Context(), model.DefaultTenant, storetest.Spans(td)); err != nil {
			t.Fatal(err)
		}
		for text := range texts(t, td) {
			id := traceOf(t, text)
			if want[id] == nil {
				want[id] = map[string]bool{}
			}
			want[id][text] = true
		}
		if i == 1 || i == 3 {
			if err := d.s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir, want
}

func traceOf(t *testing.T, text string) model.TraceID {
	t.Helper()
	_, rest, _ := strings.Cut(text, `"traceId":"`)
	id, err := model.ParseTraceID(rest[:32])
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestFlippedBytes flips bytes in every kind of file. Whatever can still be read is
// right, and what cannot is warned of.
func TestFlippedBytes(t *testing.T) {
	dir, want := damageDir(t)
	rng := rand.New(rand.NewPCG(5, 5))
	for _, kind := range []string{".part", "MANIFEST", ".wal"} {
		path := find(t, dir, kind)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			t.Fatal(err)
		}
		limit := len(data)
		if kind == ".wal" {
			limit = len(data) * 3 / 4 // a damaged tail looks like a write that never ended
		}
		for i := range 50 {
			at := rng.IntN(limit)
			if i < 15 && kind == ".part" {
				at = len(data) - 1 - i*17%len(data) // index and trailer
			}
			bad := append([]byte(nil), data...)
			bad[at] ^= 1 << rng.IntN(8)
			t.Run(fmt.Sprintf("%s byte %d", kind, at), func(t *testing.T) {
				copied := t.TempDir()
				if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(copied, rel), bad, 0o600); err != nil {
					t.Fatal(err)
				}
				checkDamaged(t, copied, want, i%5 == 0)
			})
		}
	}
}

func find(t *testing.T, dir, suffix string) (path string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && path == "" && strings.HasSuffix(p, suffix) {
			if info, err := d.Info(); err == nil && info.Size() > 0 {
				path = p
			}
		}
		return err
	})
	if err != nil || path == "" {
		t.Fatalf("find a file %s: %q, %v", suffix, path, err)
	}
	return path
}

// checkDamaged reads all there is, and again after a flush and a merge if move is set.
func checkDamaged(t *testing.T, dir string, want map[model.TraceID]map[string]bool, move bool) {
	t.Helper()
	d, err := openDir(dir, Options{})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer d.close()
	checkDamagedReads(t, d.s, want)
	if !move {
		return
	}
	ctx := context.Background()
	if err := d.s.Flush(ctx); err != nil {
		t.Fatalf("flush: %v", err)
	}
	if err := d.s.Merge(ctx); err != nil {
		t.Fatalf("merge: %v", err)
	}
	checkDamagedReads(t, d.s, want)
}

func checkDamagedReads(t *testing.T, s *Store, want map[model.TraceID]map[string]bool) {
	t.Helper()
	for id, spans := range want {
		acct := &store.Account{}
		td, err := s.Trace(t.Context(), model.DefaultTenant, id, model.TimeRange{}, acct)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("trace: %v", err)
		}
		got := texts(t, td)
		for text := range got {
			if !spans[text] {
				t.Fatalf("wrong span %s", text)
			}
		}
		if len(got) != len(spans) && len(acct.Warnings()) == 0 {
			t.Fatalf("trace %s has %d of %d spans without a warning", id, len(got), len(spans))
		}
	}
	acct := &store.Account{}
	sel := store.SpanSelector{Range: model.TimeRange{From: 0, To: 1 << 62}, AllAttrs: true, Events: true, Links: true, Account: acct}
	n, total := 0, 0
	for _, spans := range want {
		total += len(spans)
	}
	for r, err := range s.Scan(t.Context(), model.DefaultTenant, sel) {
		if err != nil {
			t.Fatalf("scan: %v", err)
		}
		n += r.Len()
	}
	if n > total || n < total && len(acct.Warnings()) == 0 {
		t.Fatalf("scan yields %d of %d spans with warnings %q", n, total, acct.Warnings())
	}
	acct = &store.Account{}
	sel.Account = acct
	if _, err := s.Tags(t.Context(), model.DefaultTenant, sel); err != nil {
		t.Fatalf("tags: %v", err)
	}
	values, err := s.TagValues(t.Context(), model.DefaultTenant, store.Attr{Scope: store.ScopeSpan, Name: "http.request.method"}, 0, sel)
	if err != nil || len(values) == 0 && len(acct.Warnings()) == 0 {
		t.Fatalf("values: %v, %v without a warning", values, err)
	}
}
