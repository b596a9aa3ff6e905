package crash

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/test/harness"
)

// smallTrace makes a trace of n spans of about 300 bytes.
func smallTrace(id byte, n int, text string) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "disk")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for i := range n {
		sp := spans.AppendEmpty()
		sp.SetTraceID(pcommon.TraceID{0: 0xd1, 1: id, 15: 1})
		sp.SetSpanID(pcommon.SpanID{0: byte(i >> 8), 1: byte(i), 7: 1})
		sp.SetName("op")
		sp.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		sp.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(time.Millisecond)))
		sp.Attributes().PutStr("text", text)
	}
	return td
}

// noise returns text that does not compress.
func noise(seed, n int) string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
	b := make([]byte, n)
	x := uint64(seed)*0x9e3779b97f4a7c15 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = digits[x>>58]
	}
	return string(b)
}

// TestFullDisk fills a small file system: writers are told to come back, readers are
// answered, and writing goes on by itself once there is space.
func TestFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("black-box test: not run with -short")
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: TestFullDisk needs root to mount a tmpfs; the behaviour on a full disk is NOT tested by this run")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=96m"); err != nil {
		t.Skipf("SKIPPED: cannot mount a tmpfs (%v); the behaviour on a full disk is NOT tested by this run", err)
	}
	t.Cleanup(func() { // lazily: the server may still have files open
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := harness.Start(t, harness.Options{Data: filepath.Join(dir, "data"), Config: "wal: {min_free: 16MiB}\n"})
	first := time.Now()
	a, err := s.PushLogs(t, map[string]string{"app": "disk"}, harness.Entry{Time: first, Line: "before the disk was full"})
	harness.MustOK(t, a, err)
	a, err = s.WriteMetrics(t, harness.Sample{Labels: [][2]string{{"__name__", "disk_before"}}, Millis: first.UnixMilli(), Value: 7})
	harness.MustOK(t, a, err)
	a, err = s.SendSpans(t, smallTrace(1, 3, "x"))
	harness.MustOK(t, a, err)

	hog := filepath.Join(dir, "hog")
	fill(t, hog)

	// Every kind of writer must see 503 in the end, with a time to come back.
	writers := map[string]func(int) (harness.Answer, error){
		"logs": func(n int) (harness.Answer, error) {
			return s.PushLogs(t, map[string]string{"app": "disk"}, harness.Entry{Time: time.Now(), Line: noise(n, 200_000)})
		},
		"metrics": func(n int) (harness.Answer, error) {
			return s.WriteMetrics(t, harness.Sample{Labels: [][2]string{{"__name__", "disk_more"}, {"n", noise(n, 1500)}}, Millis: time.Now().UnixMilli(), Value: 1})
		},
		"spans": func(n int) (harness.Answer, error) {
			return s.SendSpans(t, smallTrace(byte(n%200+10), 100, noise(n, 1500)))
		},
	}
	for _, name := range []string{"logs", "metrics", "spans"} {
		full := false
		for n := range 3000 {
			a, err := writers[name](n)
			if err != nil {
				t.Fatalf("%s on a full disk: %v (alive: %v)", name, err, s.Alive())
			}
			if a.Code/100 == 2 {
				continue
			}
			if a.Code != http.StatusServiceUnavailable {
				t.Fatalf("%s on a full disk: %s, want 503", name, a)
			}
			if a.Header.Get("Retry-After") == "" && name != "spans" { // OTLP/HTTP: optional
				t.Errorf("%s: 503 without Retry-After", name)
			}
			full = true
			break
		}
		if !full {
			t.Errorf("%s: never refused on a full disk", name)
		}
	}

	// Reads go on.
	readBack(t, s, first)

	// Space comes back; so do writes, by themselves.
	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	for name, write := range writers {
		n := 5000
		harness.Eventually(t, name+" accepted after space came back", func() bool {
			n++
			a, err := write(n)
			if err != nil {
				t.Fatal(err)
			}
			return a.Code/100 == 2
		})
	}
	readBack(t, s, first)
	s.Kill(t)
	s = s.Restart(t)
	readBack(t, s, first)
	s.Kill(t)
}

// fill takes all space that is left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size >>= 1 {
		for {
			if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func readBack(t *testing.T, s *harness.Server, first time.Time) {
	t.Helper()
	if got := s.LokiRange(t, `{app="disk"} |= "before the disk"`, first.Add(-time.Minute), time.Now().Add(time.Minute)).Lines(); len(got) != 1 {
		t.Errorf("lines read on a full disk: %v", got)
	}
	if got := s.Prom(t, "disk_before", first).Vector.One(t); got != 7 {
		t.Errorf("disk_before = %v", got)
	}
	if got := s.Trace(t, "d1010000000000000000000000000001"); len(got) != 3 {
		t.Errorf("%d spans read on a full disk, want 3", len(got))
	}
}

// TestFlippedBytes damages every kind of file of a stopped server and starts it on each:
// it never panics, never hangs, and says what is missing; what is not damaged answers.
func TestFlippedBytes(t *testing.T) {
	gold := makeData(t)
	kinds := fileKinds(t, gold)
	for _, want := range []string{"metrics/", "logs/", "traces/", "wal/"} {
		if !slices.ContainsFunc(kinds, func(k kind) bool { return strings.HasPrefix(k.name, want) }) {
			t.Fatalf("no files below %s in the data directory: %v", want, kinds)
		}
	}
	rounds := 1
	if os.Getenv("PHAROS_LONG") != "" {
		rounds = 10
	}
	for _, kind := range kinds {
		for round := range rounds {
			t.Run(fmt.Sprintf("%s-%d", strings.ReplaceAll(kind.name, "/", "_"), round), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "data")
				if err := os.CopyFS(dir, os.DirFS(gold)); err != nil {
					t.Fatal(err)
				}
				flip(t, filepath.Join(dir, kind.sample), round)
				checkDamaged(t, dir, kind)
			})
		}
	}
}

// kind is a kind of file: those whose paths are equal but for numbers and ids.
type kind struct {
	name   string
	sample string // the largest file of the kind
	size   int64
}

// fileKinds groups the files of a data directory.
func fileKinds(t *testing.T, dir string) []kind {
	byName := map[string]kind{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		info, err := d.Info()
		if err != nil || info.Size() == 0 {
			return err
		}
		name := strings.Map(func(r rune) rune {
			if '0' <= r && r <= '9' {
				return '#'
			}
			return r
		}, rel)
		for strings.Contains(name, "##") {
			name = strings.ReplaceAll(name, "##", "#")
		}
		if info.Size() > byName[name].size {
			byName[name] = kind{name, rel, info.Size()}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var all []kind
	for _, k := range byName {
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b kind) int { return strings.Compare(a.name, b.name) })
	return all
}

// makeData returns the data directory of a server that has stopped, with data of the
// three signals in parts and in the write-ahead log.
func makeData(t *testing.T) string {
	s := harness.Start(t, harness.Options{})
	write := func(s *harness.Server, from, to int) {
		for n := from; n < to; n++ {
			var entries []harness.Entry
			var samples []harness.Sample
			at := time.Now()
			for i := range 50 {
				entries = append(entries, harness.Entry{Time: at, Line: fmt.Sprintf("line %d of %d %s", i, n, noise(n*50+i, 80))})
				samples = append(samples, harness.Sample{Labels: [][2]string{{"__name__", "flip"}, {"i", fmt.Sprint(i)}}, Millis: at.UnixMilli(), Value: float64(n)})
			}
			a, err := s.PushLogs(t, map[string]string{"app": "flip", "n": fmt.Sprint(n % 4)}, entries...)
			harness.MustOK(t, a, err)
			a, err = s.WriteMetrics(t, samples...)
			harness.MustOK(t, a, err)
			a, err = s.SendSpans(t, smallTrace(byte(n), 20, noise(n, 100)))
			harness.MustOK(t, a, err)
		}
	}
	write(s, 1, 60)
	s.Stop(t) // an orderly stop writes parts
	s = s.Restart(t)
	write(s, 60, 120)
	s.Kill(t) // a kill leaves the log
	return s.Data
}

// flip inverts bytes at three places of a file.
func flip(t *testing.T, path string, round int) {
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range []int{3, 5, 8} {
		raw[(len(raw)*where/10+round*7)%len(raw)] ^= 0xff
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// checkDamaged starts a server on damaged data.
func checkDamaged(t *testing.T, dir string, k kind) {
	s, err := harness.TryStart(t, harness.Options{Data: dir})
	if err != nil {
		// Refusing to start is right only for what cannot be served in part, and it must
		// name the file.
		log := s.Log()
		if strings.Contains(log, "panic:") || strings.Contains(log, "goroutine ") {
			t.Fatalf("panic on damaged %s:\n%s", k.sample, log)
		}
		if !strings.Contains(log, filepath.Base(k.sample)) {
			t.Fatalf("start refused without naming %s: %v", k.sample, err)
		}
		t.Logf("start refused, naming the file")
		return
	}
	from, to := time.Now().Add(-time.Hour), time.Now().Add(time.Minute)
	got := map[string]int{}
	warned := false
	for n := range 4 {
		r := s.LokiRange(t, fmt.Sprintf(`{app="flip", n="%d"}`, n), from, to)
		got["lines"] += len(r.Lines())
		warned = warned || len(r.Warnings) > 0
	}
	r := s.Prom(t, `count_over_time(flip[1h])`, to)
	warned = warned || len(r.Warnings) > 0
	for _, pts := range r.Vector {
		var n int
		if _, err := fmt.Sscan(pts[0].Value, &n); err != nil {
			t.Fatal(err)
		}
		got["samples"] += n
	}
	for n := 1; n < 120; n++ {
		a, err := s.Do(t, http.MethodGet, fmt.Sprintf("/api/traces/d1%02x0000000000000000000000000001", n), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		var body json.RawMessage
		if a.Code == http.StatusOK && json.Unmarshal([]byte(a.Body), &body) == nil {
			got["spans"] += strings.Count(a.Body, `"spanId"`)
		}
		warned = warned || a.Header.Get("X-Pharos-Hint") != ""
	}
	if !s.Alive() {
		t.Fatalf("process died on damaged %s", k.sample)
	}
	whole := map[string]int{"lines": 119 * 50, "samples": 119 * 50, "spans": 119 * 20}
	lost, kept := 0, 0
	for what, want := range whole {
		if got[what] > want {
			t.Errorf("%d %s, only %d were sent", got[what], what, want)
		}
		if got[what] < want {
			lost++
		} else {
			kept++
		}
	}
	log := s.Log()
	logged := strings.Contains(log, "corrupt") || strings.Contains(log, "quarantin") || strings.Contains(log, "damage") || strings.Contains(log, "checksum")
	if lost > 0 && (!warned || !logged) {
		t.Errorf("gap after damage to %s: %v of %v, warned %v, logged %v", k.sample, got, whole, warned, logged)
	}
	if !strings.Contains(k.name, "wal") && kept < 2 {
		t.Errorf("damage to %s of one signal hurt others: %v of %v", k.sample, got, whole)
	}
	t.Logf("%s: %v of %v, warned %v, logged %v", k.sample, got, whole, warned, logged)

	// It still takes data.
	a, err := s.PushLogs(t, map[string]string{"app": "after"}, harness.Entry{Time: time.Now(), Line: "after"})
	harness.MustOK(t, a, err)
	if n := len(s.LokiRange(t, `{app="after"}`, from, to).Lines()); n != 1 {
		t.Errorf("%d lines written after the damage, want 1", n)
	}
}
