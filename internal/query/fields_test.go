package query

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/logql"
	"github.com/pharos-o11y/pharos/internal/logstore"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// rowByRow is the reference store that evaluates nothing itself.
type rowByRow struct{ *storetest.Logs }

func (rowByRow) Caps() store.LogCaps { return store.LogCaps{} }

// fieldLine returns a line with fields that are alike in most lines, and odd ones.
func fieldLine(rng *rand.Rand) string {
	status := 200 + rng.IntN(4)*100
	odd := []string{`"12.5"`, `"007"`, `"a1"`, `""`, `null`, `"\u0031"`, `9007199254740993`, `-3`, `{"x":7}`, `5000`}
	value := fmt.Sprint(rng.IntN(9000))
	if rng.IntN(5) == 0 {
		value = odd[rng.IntN(len(odd))]
	}
	switch rng.IntN(8) {
	case 0:
		return fmt.Sprintf(`level=info status=%d took=%s`, status, value)
	case 1:
		return fmt.Sprintf(`{"status":%d,"status":7,"took":%s,"svc":"x%d"}`, status, value, rng.IntN(3))
	case 2:
		return fmt.Sprintf(`{"status":%d,"took":%s`, status, value)
	}
	return fmt.Sprintf(`{"level":"l","status":%d,"took":%s,"id":"%016x","ip":"10.0.%d.%d"}`, status, value, rng.Uint64(), rng.IntN(2), rng.IntN(300))
}

// TestFieldsOfLines compares queries over fields of stored templates with the same over
// the lines one by one.
func TestFieldsOfLines(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	log, err := wal.Open(dir+"/wal", wal.Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	s, err := logstore.Open(dir+"/logs", log, logstore.Options{Now: storetest.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), log.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	ref := storetest.NewLogs()
	rng := rand.New(rand.NewPCG(1, 2))
	base := storetest.Now().Add(-time.Hour).UnixNano()
	var last [4][]store.LogEntry
	for n := range 3 {
		b := &store.LogBatch{}
		for k := range 4 {
			st := store.LogStream{Labels: model.NewLabels(model.Label{Name: "app", Value: "x"}, model.Label{Name: "svc", Value: fmt.Sprint(k)})}
			for i := range 400 { // the last 50 of these are in the next part as well
				e := store.LogEntry{Time: base + int64(n*350+i)*int64(time.Second), Line: fieldLine(rng)}
				if n > 0 && i < 50 && i%3 > 0 {
					e = last[k][350+i]
				}
				if k == 3 && i%100 == 7 {
					e.Meta = logmeta.New(model.Label{Name: "status", Value: "600"})
				}
				st.Entries = append(st.Entries, e)
			}
			last[k] = st.Entries
			b.Streams = append(b.Streams, st)
		}
		if err := errors.Join(s.Append(ctx, "t", b), ref.Append(ctx, "t", b)); err != nil {
			t.Fatal(err)
		}
		if n < 2 {
			if err := s.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	const ok = `{app="x"} | json | __error__="" `
	for _, q := range []string{
		`sum by (status) (count_over_time(` + ok + `[1m]))`,
		`sum by (svc, svc_extracted, status) (count_over_time(` + ok + `[1m]))`,
		`sum by (ip) (count_over_time(` + ok + `| status >= 400 | __error__="" [5m]))`,
		`sum by (id) (count_over_time(` + ok + `| status = 500 [5m]))`,
		`sum by (took) (count_over_time(` + ok + `| took > 8000 | __error__="" [5m]))`,
		`sum by (code) (count_over_time(` + ok + "| label_format code=`{{.status}}-{{.svc}}` [1m]))",
		`avg_over_time(` + ok + `| took!~".*[a-z\"].*" | took!="" | unwrap took [1m]) by (status)`,
		`max_over_time(` + ok + `| unwrap took | __error__="" [1m]) by (status)`,
		`sum by (status) (sum_over_time(` + ok + `| unwrap status [1m]))`,
		`max_over_time(` + ok + `| unwrap status [1m]) by (svc)`,
		`sum by (status) (bytes_over_time(` + ok + `[1m]))`,
		`sum by (status, __error__) (count_over_time({app="x"} | json [1m]))`,
		`sum by (status) (count_over_time({app="x"} | logfmt | status!="" [1m]))`,
		`sum by (status_extracted, status) (count_over_time(` + ok + `[1m]))`,
		`sum by (status) (count_over_time(` + ok + `[7m] offset 90s))`,
		`sum by (level) (count_over_time(` + ok + `| status > 200 [20s]))`,
		`sum(count_over_time(` + ok + `[1m]))`,
		`min_over_time(` + ok + `| unwrap status [1m]) by (level)`,
		`avg_over_time(` + ok + `| unwrap status [3m]) by (level, svc)`,
		`sum by (svc) (bytes_over_time({app="x"} |= "level" [1m]))`,
		`sum by (svc) (count_over_time({app="x"} != "level" [1m]))`,
		`sum by (svc, level) (count_over_time({app="x"} |~ "took...[1-4]" | json | __error__="" [1m]))`,
		`count_over_time({app="x", svc="3"} [1m])`,
		`sum(count_over_time({app="x"} [1m]))`,
		`sum without (svc) (bytes_rate({app="x"} [3m]))`,
		`sum by (svc) (sum_over_time({app="x"} | unwrap svc [3m]))`,
		`max_over_time({app="x"} | unwrap svc [3m]) by (app)`,
		`absent_over_time(` + ok + `| status = 100 [3m])`,
		`absent_over_time(` + ok + `| status = 200 [3m])`,
	} {
		e, err := logql.Parse(q)
		if err != nil {
			t.Fatal(err)
		}
		p := logql.Params{Start: base, End: base + int64(20*time.Minute), Step: time.Minute}
		want, err1 := (&logql.Engine{Reader: rowByRow{ref}}).Query(ctx, "t", e, p)
		got, err2 := (&logql.Engine{Reader: s, Index: s}).Query(ctx, "t", e, p)
		if err1 != nil || err2 != nil {
			t.Errorf("%s: %v, by rows %v", q, err2, err1)
			continue
		}
		if d := cmp.Diff(want, got, cmpopts.EquateApprox(1e-9, 0), cmpopts.EquateNaNs()); d != "" || len(want.Series) == 0 && !strings.Contains(q, "= 200") {
			t.Errorf("%s: %d series by rows (-want +got):\n%.800s", q, len(want.Series), d)
		}
	}
}
