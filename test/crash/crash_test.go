// Package crash holds what an acknowledgement promises against kill -9 and damaged or
// full disks, with the real process.
package crash

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/test/harness"
)

// ledger is what has been acknowledged, all rounds together.
type ledger struct {
	mu      sync.Mutex
	samples map[string]map[int64]float64 // series name -> milliseconds -> value
	lines   map[string]map[string]bool   // stream -> lines
	traces  map[string]int               // trace id -> spans
	unsure  map[string]bool              // sent but not acknowledged: lines, trace ids, "series/ms"
	acks    [3]atomic.Int64
}

func newLedger() *ledger {
	return &ledger{
		samples: map[string]map[int64]float64{}, lines: map[string]map[string]bool{}, traces: map[string]int{}, unsure: map[string]bool{},
	}
}

const (
	seriesAWrite = 20
	linesAPush   = 20
	spansATrace  = 8
)

// TestKill9 kills the process at random moments under load on all three signals and then
// wants every acknowledged item exactly once. PHAROS_CRASH_ROUNDS sets the rounds.
func TestKill9(t *testing.T) {
	rounds := 6
	if env := os.Getenv("PHAROS_CRASH_ROUNDS"); env != "" {
		n, err := strconv.Atoi(env)
		if err != nil {
			t.Fatalf("PHAROS_CRASH_ROUNDS: %v", err)
		}
		rounds = n
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	began := time.Now()
	l := newLedger()
	s := harness.Start(t, harness.Options{})
	for round := range rounds {
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for w := range 2 {
			wg.Go(func() { l.sendMetrics(t, s, round, w, stop) })
			wg.Go(func() { l.sendLogs(t, s, round, w, stop) })
			wg.Go(func() { l.sendSpans(t, s, round, w, stop) })
		}
		<-time.After(time.Duration(100+rng.IntN(2000)) * time.Millisecond) // the random moment
		if round%2 == 0 {
			s.Kill(t)
		} else { // while it writes parts and the manifest; merges of them follow in later rounds
			after := time.Duration(rng.IntN(150)) * time.Millisecond
			t.Logf("round %d: killed %s into the stop: %v", round, after, s.KillStopping(t, after))
		}
		close(stop)
		wg.Wait()
		s = s.Restart(t)
		l.verify(t, s, began, round)
		if t.Failed() {
			t.FailNow()
		}
	}
	for i := range l.acks {
		if l.acks[i].Load() == 0 {
			t.Errorf("nothing of signal %d was acknowledged: the test proves nothing", i)
		}
	}
	t.Logf("%d rounds: %d samples, %d lines, %d traces acknowledged", rounds, l.acks[0].Load(), l.acks[1].Load(), l.acks[2].Load())
	s.Stop(t)
	s = s.Restart(t) // and once more after an orderly stop
	l.verify(t, s, began, rounds)
}

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

func (l *ledger) sendMetrics(t *testing.T, s *harness.Server, round, w int, stop <-chan struct{}) {
	for n := 0; !stopped(stop); n++ {
		ms := time.Now().UnixMilli()
		var batch []harness.Sample
		for i := range seriesAWrite {
			batch = append(batch, harness.Sample{
				Labels: [][2]string{{"__name__", fmt.Sprintf("crash_%d_%d_%d", round, w, i)}, {"job", "crash"}},
				Millis: ms, Value: float64(n) + float64(i)/64,
			})
		}
		a, err := s.WriteMetrics(t, batch...)
		l.mu.Lock()
		for _, b := range batch {
			name := b.Labels[0][1]
			if err != nil || a.Code/100 != 2 {
				l.unsure[fmt.Sprintf("%s/%d", name, b.Millis)] = true
				delete(l.samples[name], b.Millis) // an earlier value of that time may have been replaced
				continue
			}
			if l.samples[name] == nil {
				l.samples[name] = map[int64]float64{}
			}
			if _, twice := l.samples[name][b.Millis]; twice { // the first value of a time wins or loses: not what is tested
				delete(l.samples[name], b.Millis)
				l.unsure[fmt.Sprintf("%s/%d", name, b.Millis)] = true
				continue
			}
			if !l.unsure[fmt.Sprintf("%s/%d", name, b.Millis)] {
				l.samples[name][b.Millis] = b.Value
				l.acks[0].Add(1)
			}
		}
		l.mu.Unlock()
		l.refused(t, s, "samples", a, err)
	}
}

func (l *ledger) sendLogs(t *testing.T, s *harness.Server, round, w int, stop <-chan struct{}) {
	stream := fmt.Sprintf("r%d-w%d", round, w)
	for n := 0; !stopped(stop) && n < 4000/linesAPush; n++ {
		var batch []harness.Entry
		for i := range linesAPush {
			batch = append(batch, harness.Entry{Time: time.Now(), Line: fmt.Sprintf("line %s n=%d i=%d level=info", stream, n, i)})
		}
		a, err := s.PushLogs(t, map[string]string{"job": "crash", "stream": stream}, batch...)
		l.mu.Lock()
		for _, b := range batch {
			if err != nil || a.Code/100 != 2 {
				l.unsure[b.Line] = true
				continue
			}
			if l.lines[stream] == nil {
				l.lines[stream] = map[string]bool{}
			}
			l.lines[stream][b.Line] = true
			l.acks[1].Add(1)
		}
		l.mu.Unlock()
		l.refused(t, s, "lines", a, err)
	}
}

func (l *ledger) sendSpans(t *testing.T, s *harness.Server, round, w int, stop <-chan struct{}) {
	for n := 0; !stopped(stop) && n < 300; n++ {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", "crash")
		spans := rs.ScopeSpans().AppendEmpty().Spans()
		var id pcommon.TraceID
		binary.BigEndian.PutUint64(id[:8], 0xc4a5_0000_0000_0000|uint64(round)<<8|uint64(w))
		binary.BigEndian.PutUint64(id[8:], uint64(n)+1)
		for i := range spansATrace {
			sp := spans.AppendEmpty()
			sp.SetTraceID(id)
			sp.SetSpanID(pcommon.SpanID{1: byte(round), 2: byte(w), 3: byte(n >> 8), 4: byte(n), 7: byte(i + 1)})
			sp.SetName(fmt.Sprintf("op-%d", i))
			sp.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
			sp.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(time.Millisecond)))
			sp.Attributes().PutInt("n", int64(n))
		}
		a, err := s.SendSpans(t, td)
		hexID := hex.EncodeToString(id[:])
		l.mu.Lock()
		if err != nil || a.Code/100 != 2 {
			l.unsure[hexID] = true
		} else {
			l.traces[hexID] = spansATrace
			l.acks[2].Add(1)
		}
		l.mu.Unlock()
		l.refused(t, s, "spans", a, err)
	}
}

// refused complains about an answer that a healthy server must not give. A broken
// connection is what the kill looks like, 503 what the stop does.
func (l *ledger) refused(t *testing.T, s *harness.Server, what string, a harness.Answer, err error) {
	if err == nil && a.Code/100 != 2 && a.Code != http.StatusServiceUnavailable && s.Alive() {
		t.Errorf("%s refused: %s", what, a)
	}
}

// verify asks for everything that was ever acknowledged. Items without acknowledgement may
// be there once or not at all.
func (l *ledger) verify(t *testing.T, s *harness.Server, began time.Time, round int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.verifySamples(t, s, began, round)
	l.verifyLines(t, s, began, round)
	l.verifyTraces(t, s, round)
}

func (l *ledger) verifySamples(t *testing.T, s *harness.Server, began time.Time, round int) {
	now := time.Now().Add(time.Second)
	window := int(now.Sub(began).Seconds()) + 5
	missing, wrong, twice, extra := 0, 0, 0, 0
	got := map[string]map[int64]float64{}
	r := s.Query(t, "/api/v1/query", url.Values{
		"query": {fmt.Sprintf(`{job="crash"}[%ds]`, window)}, "time": {strconv.FormatInt(now.Unix(), 10)},
	})
	for labels, pts := range r.Vector {
		var name, job string
		if _, err := fmt.Sscanf(labels, "{__name__=%q,job=%q}", &name, &job); err != nil {
			t.Fatalf("series %s: %v", labels, err)
		}
		got[name] = map[int64]float64{}
		for _, p := range pts {
			ms := int64(p.Time*1000 + 0.5)
			v, err := strconv.ParseFloat(p.Value, 64)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := got[name][ms]; ok {
				twice++
			}
			got[name][ms] = v
			if _, ok := l.samples[name][ms]; !ok && !l.unsure[fmt.Sprintf("%s/%d", name, ms)] {
				extra++
			}
		}
	}
	for name, want := range l.samples {
		for ms, v := range want {
			if g, ok := got[name][ms]; !ok {
				missing++
			} else if g != v {
				wrong++
			}
		}
	}
	if missing+wrong+twice+extra > 0 {
		t.Errorf("round %d: acknowledged samples: %d missing, %d wrong, %d twice, %d never sent", round, missing, wrong, twice, extra)
	}
}

func (l *ledger) verifyLines(t *testing.T, s *harness.Server, began time.Time, round int) {
	for stream, want := range l.lines {
		r := s.LokiRange(t, fmt.Sprintf(`{job="crash", stream=%q}`, stream), began.Add(-time.Second), time.Now().Add(time.Minute))
		seen := map[string]int{}
		extra := 0
		for _, line := range r.Lines() {
			seen[line]++
			if !want[line] && !l.unsure[line] {
				extra++
			}
		}
		missing, twice := 0, 0
		for line := range want {
			if seen[line] == 0 {
				missing++
			}
		}
		for _, n := range seen {
			if n > 1 {
				twice++
			}
		}
		if missing+twice+extra > 0 {
			t.Errorf("round %d: acknowledged lines of %s: %d of %d missing, %d twice, %d never sent", round, stream, missing, len(want), twice, extra)
		}
	}
}

func (l *ledger) verifyTraces(t *testing.T, s *harness.Server, round int) {
	missing, short, twice := 0, 0, 0
	for id, want := range l.traces {
		spans := s.Trace(t, id)
		ids := map[string]bool{}
		for _, sp := range spans {
			ids[sp.SpanID] = true
		}
		switch {
		case len(spans) == 0:
			missing++
		case len(ids) < want:
			short++
		case len(spans) > want:
			twice++
		}
	}
	if missing+short+twice > 0 {
		t.Errorf("round %d: %d traces acknowledged: %d missing, %d short of spans, %d with spans twice", round, len(l.traces), missing, short, twice)
	}
}
