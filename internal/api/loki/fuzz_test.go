package loki

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/logql"
	"github.com/pharos-o11y/pharos/internal/logstore"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// rowByRow is the reference store, which knows nothing but whole lines: every stage runs on
// every line.
type rowByRow struct{ *storetest.Logs }

func (rowByRow) Caps() store.LogCaps { return store.LogCaps{} }

// fuzzQueries are what FuzzQueries asks: each way to answer from templates, columns and
// tallies.
var fuzzQueries = []string{
	`sum by (level, st) (count_over_time({app=~".+"} | json | st >= 400 | __error__="" [7s]))`,
	`sum by (method) (count_over_time({app=~".+"} | json method="method", b="user.id" | logfmt | drop __error__, __error_details__ | method!="" [5s]))`,
	`sum by (st, level) (count_over_time({app="a"} | json | logfmt | drop __error__, __error_details__ | st=~"[245].." [5s]))`,
	"sum by (m, ip) (rate({app=~\".+\"} |= \"took=\" | pattern `<_> <lvl> [<w>] <m> <p> from <ip> status=<st> took=<_>` | st>=400 | ip=~\"10.+\" [9s]))",
	`quantile_over_time(0.9, {app=~".+"} | regexp "took=(?P<t>[0-9]+)ms" | unwrap t | __error__="" [11s]) by (app)`,
	`quantile_over_time(0.5, {app=~".+"} | logfmt | unwrap duration(took) | __error__="" [20s]) by (app, status)`,
	`stddev_over_time({app=~".+"} | json | __error__="" | unwrap ms [15s]) by (method)`,
	`stdvar_over_time({app=~".+"} | logfmt | unwrap status | __error__!="SampleExtractionErr" [6s]) by (app)`,
	`avg_over_time({app=~".+"} | json ms="ms" | unwrap ms | __error__="" [6s]) by (app)`,
	`max_over_time({app=~".+"} | json | logfmt | drop __error__ | unwrap ms | __error__="" | level="INFO" [6s]) by (app)`,
	`sum by (cls) (count_over_time({app=~".+"} | json | __error__="" | label_format cls="{{ if ge .st \"400\" }}bad{{ else }}{{ .method | lower }}{{ end }}" [5s]))`,
	`sum by (app) (count_over_time({app=~".+"} | json | __error__="" | line_format "{{.method}} {{.st}}" |= "T 5" [5s]))`,
	`sum by (x) (bytes_over_time({app=~".+"} | json | __error__="" | line_format "{{.method}}={{.st}}" | label_format m=method | logfmt | label_format x="{{.POST}}" [5s]))`,
	`sum by (app) (count_over_time({app=~".+"} | logfmt | line_format "{{.status}} {{__line__}}" |~ "^5" [5s]))`,
	`sum by (method) (bytes_rate({app=~".+"} | json | __error__="" | keep method [5s]))`,
	`topk by (app) (2, sum by (app, level) (count_over_time({app=~".+"} | json | logfmt | drop __error__ [9s])))`,
	`absent_over_time({app="a"} | json | st="599" [3s])`,
	`count_over_time({app="b"} | regexp "user_(?P<u>\\d+)" | u=~"1.*" | drop msg [9s])`,
	`{app=~".+"} | json | level="ERROR" | user_id=~"user_1.*"`,
	`{app=~".+"} | regexp "status=(?P<st>[0-9]+) took=(?P<ms>[0-9]+)ms" | st="503" | ms > 20 | line_format "{{.ms}}"`,
	"{app=~\".+\"} | pattern `<_> <lvl> [<w>] <m> <p> from <_>` | m=\"GET\" | logfmt | status != 200 | label_format z=\"{{.m | lower}}-{{.status}}\"",
	`sum by (app) (count_over_time({app=~".+"} |> "<_> INFO [worker-<_>] GET <_> status=<_> took=<_>ms <_>" [7s]))`,
	`sum by (app, status) (bytes_over_time({app=~".+"} !> "<_>level=<_> method=<_> <_>" or "{\"level\":<_>" | logfmt [7s]))`,
	`{app=~".+"} |> "<_> status=<_> took=<_>ms trace=<_>" !> "<_> WARN <_>"`,
	`sum by (app) (count_over_time({app=~".+"} |~ "GET /api/\\w+/\\d+ from" [7s]))`,
	`sum by (app) (count_over_time({app=~".+"} |~ "(?i)\\berror\\b|warn \\[worker-[12]\\]" [7s]))`,
	`sum by (app) (count_over_time({app=~".+"} !~ "took=[0-9]{2}ms|^\\{|e..r=user_" [7s]))`,
	`{app=~".+"} |~ "user_\\d{5}\"|level=.?ERROR" !~ "(INFO|WARN).*status=2"`,
	`{app=~".+"} | json | logfmt | drop __error__, __error_details__ | ms > 90 or took > 90ms`,
}

// fuzzLine makes a line of one of few templates.
func fuzzLine(rnd *rand.Rand, words []string) string {
	w := func() string { return words[rnd.IntN(len(words))] }
	level, method := []string{"INFO", "WARN", "ERROR"}[rnd.IntN(3)], []string{"GET", "POST"}[rnd.IntN(2)]
	st, ms, id := []int{200, 200, 404, 503}[rnd.IntN(4)], rnd.IntN(120), rnd.IntN(300)
	switch rnd.IntN(7) {
	case 0, 1:
		return fmt.Sprintf(`{"level":"%s","method":"%s","st":%d,"ms":%d,"user":{"id":"user_%05d"},"id":"%016x","note":"%s"}`, level, method, st, ms, id, rnd.Uint64(), w())
	case 2, 3, 4:
		return fmt.Sprintf(`12:00:%02d %s [worker-%d] %s /api/%s/%d from 10.0.%d.%d status=%d took=%dms trace=%016x`, rnd.IntN(60), level, rnd.IntN(4), method, w(), id, rnd.IntN(3), rnd.IntN(256), st, ms, rnd.Uint64())
	case 5:
		return fmt.Sprintf(`level=%s method=%s status=%d took=%d.%02dms user=user_%05d msg="%s %d"`, level, method, st, ms, ms%7, id, w(), id)
	}
	return w() + fmt.Sprint(rnd.IntN(3)) + w()
}

// FuzzQueries compares the embedded engine, which answers from templates and tallies where it
// can, with the same language run row by row.
func FuzzQueries(f *testing.F) {
	for i := range fuzzQueries {
		f.Add(uint64(i), i, "carts users")
	}
	f.Add(uint64(7), 3, "a\"b \\u00e9 =x {\"st\":500 é7")
	f.Fuzz(func(t *testing.T, seed uint64, n int, text string) {
		words := strings.Fields(text)
		if len(words) == 0 || len(text) > 200 {
			return
		}
		text = fuzzQueries[uint(n)%uint(len(fuzzQueries))]
		e, err := logql.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		ref, embedded := storetest.NewLogs(), openLogs(t)
		rnd := rand.New(rand.NewPCG(seed, 3))
		for part := range 1 + rnd.IntN(3) {
			b := &store.LogBatch{}
			for _, app := range []string{"a", "b", "c"} {
				st := store.LogStream{Labels: model.Labels{{Name: "app", Value: app}}}
				for range rnd.IntN(150) {
					en := store.LogEntry{Time: base*1e9 + rnd.Int64N(60_000)*1e6, Line: fuzzLine(rnd, words)}
					if rnd.IntN(50) == 0 {
						en.Meta = logmeta.New(model.Label{Name: "st", Value: "meta"})
					}
					st.Entries = append(st.Entries, en)
				}
				b.Streams = append(b.Streams, st)
			}
			for _, w := range []store.LogWriter{ref, embedded} {
				if err := w.Append(t.Context(), "t", b); err != nil {
					t.Fatal(err)
				}
			}
			if part == 0 || rnd.IntN(2) == 0 {
				if err := embedded.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, p := range []logql.Params{
			{Start: base * 1e9, End: (base + 60) * 1e9, Step: 7 * time.Second, Direction: store.Forward},
			{Start: base * 1e9, End: (base + 30) * 1e9, Direction: store.Backward, Categorize: true},
		} {
			if d := gocmp.Diff(answer(t, rowByRow{ref}, ref, e, p), answer(t, embedded, embedded, e, p)); d != "" {
				t.Errorf("%s with %+v (-row by row +embedded)\n%s", text, p, d)
			}
		}
	})
}

// openLogs opens a store that lives as long as the test.
func openLogs(t *testing.T) *logstore.Store {
	t.Helper()
	dir := t.TempDir()
	log, err := wal.Open(dir+"/wal", wal.Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close(context.Background()) })
	s, err := logstore.Open(dir+"/logs", log, logstore.Options{Now: func() time.Time { return time.Unix(base+100, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
