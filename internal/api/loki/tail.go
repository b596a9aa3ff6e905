package loki

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/logql"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
)

const (
	maxTailFrame  = 100              // entries in a frame
	tailBuffer    = 4                // batches that wait for a slow client; the store holds a few MiB more
	tailPing      = time.Second      // between pings
	tailWriteTime = 10 * time.Second // longest write of one frame
	maxTailDelay  = 5
)

// errTailOver ends a tail that has run as long as it may.
var errTailOver = errors.New("tail has reached its maximum duration")

// tailRequest is what a client wants to follow.
type tailRequest struct {
	text       string
	expr       logql.Expr
	limit      int
	start      int64
	flags      []string
	categorize bool
	tenant     model.Tenant
	limits     Limits
}

func (a *API) tailParams(r *http.Request) (*tailRequest, error) {
	t := &tailRequest{text: r.FormValue("query")}
	var err error
	if t.tenant, err = a.Tenancy.Of(r); err != nil {
		return nil, err
	}
	t.limits = a.limits([]model.Tenant{t.tenant})
	if t.expr, err = logql.Parse(t.text); err != nil {
		return nil, err
	}
	if err := t.limits.checkQuery(t.expr); err != nil {
		return nil, err
	}
	if t.limit, err = limitParam(r); err != nil {
		return nil, err
	}
	if t.limit > t.limits.MaxEntries {
		return nil, api.Invalid("max entries limit per query exceeded, limit > max_entries_limit_per_query (%d > %d)", t.limit, t.limits.MaxEntries)
	}
	if t.start, err = timeParam(r, "start", a.Now().Add(-time.Hour).UnixNano()); err != nil {
		return nil, err
	}
	delay, err := intParam(r, "delay_for", 0)
	if err != nil || delay > maxTailDelay {
		return nil, api.Invalid("invalid parameter 'delay_for': want 0 to %d seconds", maxTailDelay)
	}
	t.flags, t.categorize = encodingFlags(r)
	return t, nil
}

// tail answers /loki/api/v1/tail: the latest entries of a log query and then every new
// one, over a WebSocket.
func (a *API) tail(w http.ResponseWriter, r *http.Request) error {
	t, err := a.tailParams(r)
	if err != nil {
		return err
	}
	if r.Header.Get("Upgrade") == "" {
		return api.Invalid("Bad Request: tail needs a WebSocket")
	}
	if !a.takeTail(t) {
		writeError(w, http.StatusTooManyRequests, fmt.Errorf("max concurrent tail requests limit exceeded, count > limit (%d > %d)", t.limits.MaxTails+1, t.limits.MaxTails))
		return nil
	}
	defer a.giveTail(t.tenant)
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return nil // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }()
	ctx, cancel := context.WithTimeoutCause(conn.CloseRead(r.Context()), t.limits.MaxTailTime, errTailOver)
	defer cancel()
	err = a.follow(ctx, conn, t)
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errTailOver):
		_ = conn.Close(websocket.StatusNormalClosure, errTailOver.Error())
	case cause == nil && err != nil:
		_ = conn.Close(websocket.StatusInternalError, closeReason(err))
	}
	return nil
}

// closeReason cuts the text of err to what fits into a close frame.
func closeReason(err error) string {
	s := err.Error()
	return s[:min(len(s), 120)]
}

func (a *API) takeTail(t *tailRequest) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tails[t.tenant] >= t.limits.MaxTails {
		return false
	}
	a.tails[t.tenant]++
	return true
}

func (a *API) giveTail(tenant model.Tenant) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tails[tenant]--; a.tails[tenant] == 0 {
		delete(a.tails, tenant)
	}
}

// tailBatch is new entries on their way to the client.
type tailBatch struct {
	streams []logql.Stream
	dropped int
}

// follow sends history and new entries until ctx is done or the client is gone. It starts
// to listen before it reads the history, so that no entry falls between the two, and
// leaves out of the news what the history already had.
func (a *API) follow(ctx context.Context, conn *websocket.Conn, t *tailRequest) error {
	q, ok := t.expr.(*logql.LogQuery)
	if !ok {
		return fmt.Errorf("only log queries can be tailed; %s is a metric query", t.expr)
	}
	tailer, err := a.engine.NewTailer(q, t.categorize)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	news, listens := make(chan tailBatch, tailBuffer), make(chan struct{})
	g.Go(func() error {
		first := true
		return a.Reader.Tail(ctx, t.tenant, q.Matchers, func(b *store.LogBatch, dropped int) error {
			if first {
				first = false
				close(listens)
			}
			streams := tailer.Apply(b)
			if len(streams) == 0 && dropped == 0 {
				return nil
			}
			select {
			case news <- tailBatch{streams, dropped}:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	g.Go(func() error {
		select {
		case <-listens:
			return a.sendTail(ctx, conn, t, news)
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return g.Wait()
}

func (a *API) sendTail(ctx context.Context, conn *websocket.Conn, t *tailRequest, news <-chan tailBatch) error {
	s := &tailSender{conn: conn, req: t, now: a.Now}
	history, err := a.history(ctx, t)
	if err != nil {
		return err
	}
	if err := s.send(ctx, history, 0); err != nil {
		return err
	}
	s.remember(history)
	ping := time.NewTicker(tailPing)
	defer ping.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b := <-news:
			if err := s.send(ctx, b.streams, b.dropped); err != nil {
				return err
			}
		case <-ping.C:
			// The pong is not awaited: a ping is there to keep proxies from closing the connection,
			// and a client that is gone fails the next write.
			// The end of the tail must not cut it, which would close the connection without a word.
			pingCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tailPing)
			_ = conn.Ping(pingCtx)
			cancel()
		}
	}
}

// history returns the latest entries, oldest first.
func (a *API) history(ctx context.Context, t *tailRequest) ([]logql.Stream, error) {
	now := a.Now().UnixNano()
	if t.start > now {
		return nil, nil
	}
	p := logql.Params{
		Start: t.start, End: now + 1, Direction: store.Backward, Limit: t.limit, Categorize: t.categorize,
	}
	req := query.Request{Tenant: t.tenant, Language: "logql", Text: t.text}
	var res *logql.Result
	_, err := a.Door.Do(ctx, req, func(ctx context.Context, acct *store.Account) (err error) {
		p.Account = acct
		res, err = a.engine.Query(ctx, t.tenant, t.expr, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range res.Streams {
		slices.Reverse(res.Streams[i].Entries)
	}
	return res.Streams, nil
}

// tailSender writes frames.
type tailSender struct {
	conn *websocket.Conn
	req  *tailRequest
	now  func() time.Time
	b    []byte
	seen map[string]bool // entries of the history that may come again
}

// flatEntry is one entry with the labels of its stream.
type flatEntry struct {
	labels model.Labels
	entry  *logql.Entry
}

// flatten returns the entries of streams in order of time.
func flatten(streams []logql.Stream) []flatEntry {
	var out []flatEntry
	for i := range streams {
		for j := range streams[i].Entries {
			out = append(out, flatEntry{streams[i].Labels, &streams[i].Entries[j]})
		}
	}
	slices.SortStableFunc(out, func(a, b flatEntry) int { return cmp.Compare(a.entry.Time, b.entry.Time) })
	return out
}

func (e *flatEntry) key() string {
	b := strconv.AppendInt(nil, e.entry.Time, 10)
	b = appendLabels(b, e.labels)
	b = appendLabels(b, e.entry.Meta)
	return string(append(b, e.entry.Line...))
}

func (s *tailSender) remember(history []logql.Stream) {
	s.seen = map[string]bool{}
	for _, e := range flatten(history) {
		s.seen[e.key()] = true
	}
}

// send writes streams in frames of at most maxTailFrame entries, one entry a stream object.
func (s *tailSender) send(ctx context.Context, streams []logql.Stream, dropped int) error {
	entries := flatten(streams)
	if len(s.seen) > 0 {
		entries = slices.DeleteFunc(entries, func(e flatEntry) bool {
			key := e.key()
			known := s.seen[key]
			delete(s.seen, key)
			return known
		})
	}
	for len(entries) > 0 || dropped > 0 {
		if err := ctx.Err(); err != nil {
			return err // a write that is over before it begins closes the connection
		}
		n := min(len(entries), maxTailFrame)
		s.frame(entries[:n], dropped)
		writeCtx, cancel := context.WithTimeout(ctx, tailWriteTime)
		err := s.conn.Write(writeCtx, websocket.MessageText, s.b)
		cancel()
		if err != nil {
			return err
		}
		entries, dropped = entries[n:], 0
	}
	return nil
}

// frame writes entries into s.b. Which entries were dropped nobody knows any more, only how
// many: dropped_total has the number, and dropped_entries, Loki's list, as many elements, up
// to a bound.
func (s *tailSender) frame(entries []flatEntry, dropped int) {
	b := append(s.b[:0], `{"streams":[`...)
	for i, e := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"stream":`...)
		b = appendLabels(b, e.labels)
		b = append(b, `,"values":[`...)
		b = appendEntry(b, e.entry, s.req.categorize)
		b = append(b, `]}`...)
	}
	b = append(b, ']')
	if dropped > 0 {
		b = append(b, `,"dropped_total":`...)
		b = strconv.AppendInt(b, int64(dropped), 10)
		b = append(b, `,"dropped_entries":[`...)
		for i := range min(dropped, maxTailFrame) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"labels":{},"timestamp":"`...)
			b = strconv.AppendInt(b, s.now().UnixNano(), 10)
			b = append(b, `"}`...)
		}
		b = append(b, ']')
	}
	if len(s.req.flags) > 0 {
		b = append(b, `,"encodingFlags":`...)
		b = appendStrings(b, s.req.flags)
	}
	s.b = append(b, '}')
}
