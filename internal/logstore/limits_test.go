package logstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

func manyLabels(n int) model.Labels {
	var ls model.Labels
	for i := range n {
		ls = append(ls, model.Label{Name: fmt.Sprintf("l%02d", i), Value: "v"})
	}
	return ls
}

func TestLimits(t *testing.T) {
	now := storetest.Now().UnixNano()
	long := strings.Repeat("x", 300)
	lim := Limits{MaxLineSize: 200, MaxLabelNameLength: 100, MaxLabelValueLength: 200, MaxMetadataSize: 250, MaxMetadataCount: 3, Retention: 100 * time.Hour}
	tests := []struct {
		name   string
		labels model.Labels
		entry  store.LogEntry
		reason string // "" is kept
	}{
		{"plain", appLabels("x"), store.LogEntry{Time: now, Line: "x"}, ""},
		{"15 names", manyLabels(15), store.LogEntry{Time: now}, ""},
		{"15 names and service_name", append(manyLabels(15), model.Label{Name: "service_name", Value: "x"}), store.LogEntry{Time: now}, ""},
		{"16 names", manyLabels(16), store.LogEntry{Time: now}, store.ReasonLabelCount},
		{"long name", model.Labels{{Name: long, Value: "x"}}, store.LogEntry{Time: now}, store.ReasonLabelName},
		{"long value", model.Labels{{Name: "x", Value: long}}, store.LogEntry{Time: now}, store.ReasonLabelValue},
		{"twice", model.Labels{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}}, store.LogEntry{Time: now}, store.ReasonInvalidLabels},
		{"line of the limit", appLabels("x"), store.LogEntry{Time: now, Line: long[:200]}, ""},
		{"long line", appLabels("x"), store.LogEntry{Time: now, Line: long[:201]}, store.ReasonLineTooLong},
		{"big metadata", appLabels("x"), store.LogEntry{Time: now, Meta: logmeta.New(appLabels(long)...)}, store.ReasonMetaTooLarge},
		{"many fields", appLabels("x"), store.LogEntry{Time: now, Meta: logmeta.New(manyLabels(4)...)}, store.ReasonMetaTooMany},
		{"future", appLabels("x"), store.LogEntry{Time: now + int64(11*time.Minute)}, store.ReasonTooNew},
		{"slightly in the future", appLabels("x"), store.LogEntry{Time: now + int64(9*time.Minute)}, ""},
		{"behind the retention", appLabels("x"), store.LogEntry{Time: now - int64(101*time.Hour)}, store.ReasonTooOld},
		{"zero time", appLabels("x"), store.LogEntry{}, store.ReasonTooOld},
		{"lowest time", appLabels("x"), store.LogEntry{Time: -1 << 63}, store.ReasonTooOld},
		{"128 fields and the level", appLabels("x"), store.LogEntry{Time: now, Meta: logmeta.New(append(manyLabels(3), model.Label{Name: detectedLevel, Value: "info"})...)}, ""},
		{"highest time", appLabels("x"), store.LogEntry{Time: 1<<63 - 1}, store.ReasonTooNew},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := openAt(t, t.TempDir(), Options{Limits: lim})
			defer o.close(t)
			good := store.LogEntry{Time: now, Line: "good"}
			err := o.Append(t.Context(), tenant, &store.LogBatch{Streams: []store.LogStream{
				{Labels: tt.labels, Entries: []store.LogEntry{tt.entry}}, {Labels: appLabels("good"), Entries: []store.LogEntry{good}},
			}})
			if tt.reason == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var refused *store.Refused
			if !errors.As(err, &refused) || refused.Kept != 1 || len(refused.Refusals) != 1 || refused.Refusals[0].Reason != tt.reason {
				t.Fatalf("append = %v, want 1 kept and 1 refused for %s", err, tt.reason)
			}
			if got := lines(t, o, store.LogSelector{Range: always()}); len(got) != 1 {
				t.Errorf("stored %q", got)
			}
		})
	}
}

// TestPolicies checks what holds for groups of streams.
func TestPolicies(t *testing.T) {
	now := storetest.Now()
	stream := func(text string, priority int) PolicyStream {
		name, value, _ := strings.Cut(text, "=")
		m, err := model.NewMatcher(model.MatchEqual, name, value)
		if err != nil {
			t.Fatal(err)
		}
		return PolicyStream{[]*model.Matcher{m}, priority}
	}
	soon, over := now.Add(time.Minute), now.Add(-time.Minute)
	finance := Policy{Name: "finance", Streams: []PolicyStream{stream("app=billing", 2), stream("env=prod", 1)}, RequiredLabels: []string{"team"}, BlockedUntil: soon}
	ops := Policy{Name: "ops", Streams: []PolicyStream{stream("app=ops", 1), stream("app=billing", 1)}, BlockedUntil: over}
	rest := Policy{Name: "*", RequiredLabels: []string{"env"}}
	for _, tt := range []struct {
		name, labels string
		limits       Limits
		reason       string
	}{
		{"no policy", "app=x", Limits{Policies: []Policy{finance, ops}}, ""},
		{"blocked", "app=x,env=prod", Limits{Policies: []Policy{finance, ops}}, "blocked_ingestion_policy"},
		{"of two the higher priority", "app=billing", Limits{Policies: []Policy{ops, finance}}, "blocked_ingestion_policy"},
		{"of equal priorities the first", "app=ops,env=prod", Limits{Policies: []Policy{ops, finance}}, ""},
		{"no longer blocked", "app=ops", Limits{Policies: []Policy{finance, ops}}, ""},
		{"all of the tenant", "app=ops", Limits{Policies: []Policy{ops}, BlockedUntil: soon}, "blocked_ingestion"},
		{"all no longer", "app=ops", Limits{BlockedUntil: over}, ""},
		{"the rest", "app=x", Limits{Policies: []Policy{finance, {Name: "*", BlockedUntil: soon}}}, "blocked_ingestion_policy"},
		{"not the rest", "app=ops", Limits{Policies: []Policy{{Name: "*", BlockedUntil: soon}, ops}}, ""},
		{"lacks the label of its policy", "app=billing", Limits{Policies: []Policy{{Name: "f", Streams: finance.Streams, RequiredLabels: []string{"team"}}}}, "missing_enforced_labels"},
		{"has it", "app=billing,team=a", Limits{Policies: []Policy{{Name: "f", Streams: finance.Streams, RequiredLabels: []string{"team"}}}}, ""},
		{"lacks a label of all", "app=ops", Limits{Policies: []Policy{rest, ops}}, "missing_enforced_labels"},
		{"lacks one of those of the tenant", "app=ops,env=x", Limits{Policies: []Policy{rest, ops}, RequiredLabels: []string{"team"}}, "missing_enforced_labels"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var ls model.Labels
			for pair := range strings.SplitSeq(tt.labels, ",") {
				name, value, _ := strings.Cut(pair, "=")
				ls = append(ls, model.Label{Name: name, Value: value})
			}
			if reason, _ := tt.limits.checkLabels(ls, now); reason != tt.reason {
				t.Errorf("refused for %q, want %q", reason, tt.reason)
			}
		})
	}
}

// TestRules checks the limits that are off unless set.
func TestRules(t *testing.T) {
	now := storetest.Now().UnixNano()
	level := model.Labels{{Name: detectedLevel, Value: "info"}}
	for _, tt := range []struct {
		name   string
		limits Limits
		labels model.Labels
		entry  store.LogEntry
		reason string
		meta   string // of the entry as it is stored
	}{
		{"metadata", Limits{}, appLabels("x"), store.LogEntry{Time: now, Meta: logmeta.New(level...)}, "", `{detected_level="info"}`},
		{"no metadata", Limits{NoMetadata: true}, appLabels("x"), store.LogEntry{Time: now, Meta: logmeta.New(appLabels("y")...)}, "disallowed_structured_metadata", ""},
		{"the level is not the sender's", Limits{NoMetadata: true}, appLabels("x"), store.LogEntry{Time: now, Meta: logmeta.New(level...)}, "", "{}"},
		{"a label that must be", Limits{RequiredLabels: []string{"app", "team"}}, appLabels("x"), store.LogEntry{Time: now}, "missing_enforced_labels", ""},
		{"a label that is", Limits{RequiredLabels: []string{"app"}}, appLabels("x"), store.LogEntry{Time: now}, "", "{}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refused := &store.Refused{}
			groups := admit(&store.LogBatch{Streams: []store.LogStream{{Labels: tt.labels, Entries: []store.LogEntry{tt.entry}}}}, tt.limits.withDefaults(), storetest.Now(), refused)
			if tt.reason != "" {
				if len(groups) > 0 || len(refused.Refusals) != 1 || refused.Refusals[0].Reason != tt.reason || refused.Refusals[0].Count != 1 {
					t.Errorf("kept %v, refused %v, want %s", groups, refused, tt.reason)
				}
				return
			}
			if len(groups) != 1 || groups[0].entries[0].Meta.Labels().String() != tt.meta {
				t.Errorf("kept %v, refused %v", groups, refused)
			}
		})
	}
}

func TestEqualTimesMayBeSpread(t *testing.T) {
	at := storetest.Now().UnixNano()
	var in []store.LogEntry
	for _, e := range []struct {
		after int64
		line  string
	}{{0, "a"}, {0, "b"}, {0, "b"}, {0, "c"}, {1, "d"}, {5, "e"}, {5, "f"}, {0, "g"}} {
		in = append(in, store.LogEntry{Time: at + e.after, Line: e.line})
	}
	for spread, want := range map[bool]string{
		false: "0a 0b 0b 0c 1d 5e 5f 0g ", true: "0a 1b 1b 2c 1d 5e 6f 0g ",
	} {
		lim := Limits{SpreadEqualTimes: spread}.withDefaults()
		groups := admit(&store.LogBatch{Streams: []store.LogStream{{Labels: appLabels("x"), Entries: in}}}, lim, storetest.Now(), &store.Refused{})
		got := ""
		for _, e := range groups[0].entries {
			got += fmt.Sprintf("%d%s ", e.Time-at, e.Line)
		}
		if got != want {
			t.Errorf("spread %t: %s, want %s", spread, got, want)
		}
	}
	if in[1].Time != at {
		t.Error("the entries of the sender were changed")
	}
}

func TestLongLinesMayBeCut(t *testing.T) {
	o := openAt(t, t.TempDir(), Options{Limits: Limits{MaxLineSize: 5, MaxLineSizeTruncate: true}})
	defer o.close(t)
	put(t, o, "x", storetest.Now().UnixNano(), "0123456789")
	if got := lines(t, o, store.LogSelector{Range: always()}); len(got) != 1 || got[0] != "x: 01234" {
		t.Errorf("got %q", got)
	}
}

// TestBigEntries checks what the default limits say about a line of 256 KiB and about 1,000
// fields.
func TestBigEntries(t *testing.T) {
	now := storetest.Now().UnixNano()
	o := openAt(t, t.TempDir(), Options{TenantLimits: func(tn model.Tenant) (Limits, bool) {
		return Limits{MaxMetadataCount: 1000, MaxLineSizeTruncate: true}, tn == "big"
	}})
	defer o.close(t)
	line := strings.Repeat("é", 128<<10)
	var fields model.Labels
	for i := range 1000 {
		fields = append(fields, model.Label{Name: fmt.Sprintf("key%03d", i), Value: fmt.Sprint(i)})
	}
	batch := func(e store.LogEntry) *store.LogBatch {
		return &store.LogBatch{Streams: []store.LogStream{{Labels: appLabels("x"), Entries: []store.LogEntry{e}}}}
	}
	for _, tt := range []struct {
		tenant model.Tenant
		entry  store.LogEntry
		reason string
	}{
		{tenant, store.LogEntry{Time: now, Line: line}, ""},
		{tenant, store.LogEntry{Time: now + 1, Line: line + "x"}, store.ReasonLineTooLong},
		{tenant, store.LogEntry{Time: now + 2, Line: "fields", Meta: logmeta.New(fields...)}, store.ReasonMetaTooMany},
		{"big", store.LogEntry{Time: now, Line: "x" + line}, ""},
		{"big", store.LogEntry{Time: now + 2, Line: "fields", Meta: logmeta.New(fields...)}, ""},
	} {
		var refused *store.Refused
		err := o.Append(t.Context(), tt.tenant, batch(tt.entry))
		if tt.reason == "" && err != nil || tt.reason != "" && (!errors.As(err, &refused) || refused.Refusals[0].Reason != tt.reason) {
			t.Errorf("append = %v, want reason %q", err, tt.reason)
		}
	}
	for range 2 {
		if got := lines(t, o, store.LogSelector{Range: always()}); len(got) != 1 || got[0] != "x: "+line {
			t.Errorf("%d lines", len(got))
		}
		for rows, err := range o.Select(t.Context(), "big", store.LogSelector{Range: always()}) {
			if err != nil {
				t.Fatal(err)
			}
			if rows.Lines[0] != "x"+line[:len(line)-2] || len(rows.Row(1, nil)) != 1000 {
				t.Errorf("a line of %d bytes that was cut, %d fields", len(rows.Lines[0]), len(rows.Row(1, nil)))
			}
		}
		if err := o.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRateLimits(t *testing.T) {
	now := storetest.Now()
	o := openAt(t, t.TempDir(), Options{
		Now: func() time.Time { return now }, MaxTenants: 3,
		TenantLimits: func(tn model.Tenant) (Limits, bool) {
			if tn == "streams" {
				return Limits{PerStreamRate: 10, PerStreamBurst: 20}, true
			}
			return Limits{IngestionRate: 10, IngestionBurst: 20}, tn == tenant
		},
	})
	defer o.close(t)
	n := 0
	app := func(tn model.Tenant, reason string, kept int, apps ...string) {
		t.Helper()
		b := &store.LogBatch{}
		for _, a := range apps {
			n++
			b.Streams = append(b.Streams, store.LogStream{Labels: appLabels(a), Entries: []store.LogEntry{{Time: now.UnixNano(), Line: fmt.Sprintf("%010d", n)}}})
		}
		var refused *store.Refused
		err := o.Append(t.Context(), tn, b)
		if reason == "" && err != nil || reason != "" && (!errors.As(err, &refused) || refused.Refusals[0].Reason != reason || refused.Kept != kept) {
			t.Errorf("append %q = %v, want reason %q, %d kept", apps, err, reason, kept)
		}
	}
	app(tenant, "", 0, "a", "b")
	app(tenant, store.ReasonRateLimited, 0, "a")
	now = now.Add(time.Second)
	app(tenant, store.ReasonRateLimited, 0, "a", "b") // nothing of it
	app(tenant, "", 0, "a")
	app("streams", "", 0, "a", "a", "b")
	app("streams", reasonStreamRate, 1, "a", "b")
	app("free", "", 0, "a", "b", "c", "d")
	app("fourth", store.ReasonStreamLimit, 0, "a")
}

func TestStreamLimit(t *testing.T) {
	now := storetest.Now()
	o := openAt(t, t.TempDir(), Options{
		Now:          func() time.Time { return now },
		TenantLimits: func(tn model.Tenant) (Limits, bool) { return Limits{MaxStreams: 3}, tn == tenant },
	})
	defer o.close(t)
	batch := func(n int) *store.LogBatch {
		b := &store.LogBatch{}
		for i := range n {
			b.Streams = append(b.Streams, store.LogStream{Labels: appLabels(fmt.Sprint(i)), Entries: []store.LogEntry{{Time: now.UnixNano(), Line: "x"}}})
		}
		return b
	}
	var refused *store.Refused
	if err := o.Append(t.Context(), tenant, batch(5)); !errors.As(err, &refused) || refused.Kept != 3 || refused.Refusals[0].Reason != store.ReasonStreamLimit || refused.Count() != 2 {
		t.Errorf("append of 5 streams = %v, want 3 kept", err)
	}
	if err := o.Append(t.Context(), "other", batch(5)); err != nil {
		t.Errorf("append for another tenant = %v", err)
	}
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * idleAfter)
	o.cut() // forgets idle streams
	if err := o.Append(t.Context(), tenant, &store.LogBatch{Streams: batch(7).Streams[4:]}); err != nil {
		t.Errorf("append after the others went idle = %v", err)
	}
}

// TestSlowTailLosesEntriesButCountsThem blocks the listener while writers go on.
func TestSlowTailLosesEntriesButCountsThem(t *testing.T) {
	o := openAt(t, t.TempDir(), Options{})
	defer o.close(t)
	ctx, cancel := context.WithCancel(t.Context())
	hold, first := make(chan struct{}), make(chan struct{})
	seen, dropped, calls := 0, 0, 0
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = o.Tail(ctx, tenant, nil, func(b *store.LogBatch, lost int) error {
			if len(b.Streams) == 0 {
				return nil // it listens
			}
			if calls++; calls == 1 {
				close(first)
				<-hold
			}
			seen += len(b.Streams[0].Entries)
			dropped += lost
			if b.Streams[0].Entries[0].Line == "last" {
				cancel()
			}
			return nil
		})
	})
	at := storetest.Now().UnixNano()
	written := 0
	write := func(line string) {
		put(t, o, "x", at+int64(written), line)
		written++
	}
	for o.tails.n.Load() == 0 { // until it listens
		write("before")
	}
	before := written
	write("first")
	<-first
	for range tailBatches + 50 {
		write("more")
	}
	close(hold)
	for ctx.Err() == nil {
		write("last")
	}
	wg.Wait()
	if dropped < 49 || seen+dropped > written || seen+dropped < written-before-tailBatches {
		t.Errorf("of %d entries %d were seen and %d counted as dropped", written-before, seen, dropped)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	_, err := Open(t.TempDir(), nil, Options{HeadSize: -1, HeadAge: -1, Limits: Limits{Retention: -1}})
	if err == nil || strings.Count(err.Error(), "negative") != 3 {
		t.Errorf("open = %v, want all three mistakes", err)
	}
}

// TestManyFieldsInABlock has more metadata fields than columns.
func TestManyFieldsInABlock(t *testing.T) {
	o := openAt(t, t.TempDir(), Options{})
	defer o.close(t)
	at := storetest.Now().UnixNano()
	for i := range maxMetaColumns + 50 {
		put(t, o, "x", at+int64(i), fmt.Sprint(i), model.Label{Name: "all", Value: "v"}, model.Label{Name: fmt.Sprint("f", i), Value: fmt.Sprint(i)})
	}
	for _, step := range []func(context.Context) error{func(context.Context) error { return nil }, o.Flush, o.mergeAll} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{"f3", fmt.Sprint("f", maxMetaColumns+20)} {
			sel := store.LogSelector{Range: always(), Fields: []store.FieldPredicate{{Matcher: model.MustMatcher(model.MatchEqual, f, f[1:])}}, MetaNames: []string{f}}
			n := 0
			for r, err := range o.Select(t.Context(), tenant, sel) {
				if err != nil {
					t.Fatal(err)
				}
				if n += len(r.Times); len(r.Meta) != 1 || r.Meta[0].Values[0] != f[1:] {
					t.Errorf("field %s: %+v", f, r.Meta)
				}
			}
			if n != 1 {
				t.Errorf("field %s is in %d entries, want 1", f, n)
			}
		}
	}
}

// TestEqualTimesKeepTheirOrder checks the order that Loki shows, across places.
func TestEqualTimesKeepTheirOrder(t *testing.T) {
	o := openAt(t, t.TempDir(), Options{})
	defer o.close(t)
	at := storetest.Now().UnixNano()
	for i, l := range []string{"c", "a", "b", "d", "a"} {
		put(t, o, "x", at, l)
		if i == 1 || i == 2 {
			if err := o.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for d, want := range map[store.Direction]string{store.Forward: "cabd", store.Backward: "dbac"} {
		got := ""
		for r, err := range o.Select(t.Context(), tenant, store.LogSelector{Range: always(), Direction: d}) {
			if err != nil {
				t.Fatal(err)
			}
			got += strings.Join(r.Lines, "")
		}
		if got != want {
			t.Errorf("direction %d: %q, want %q", d, got, want)
		}
	}
}
