package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/common/model"

	"github.com/pharos-o11y/pharos/internal/logql"
)

// logsCmd asks a running server for logs, in the manner of logcli.
type logsCmd struct {
	serverFlag
	Query   string `arg:"" help:"LogQL: a log query, or a metric query."`
	Tail    bool   `help:"Print new entries as they arrive, after the latest --limit old ones." short:"f"`
	Since   string `help:"How far back to look." default:"1h"`
	From    string `help:"Begin of the range: RFC 3339, or Unix seconds. Instead of --since."`
	To      string `help:"End of the range: RFC 3339, or Unix seconds. The default is now."`
	Limit   int    `help:"Entries to print, 0 for all. What the server does not give at once is fetched in pieces." default:"30"`
	Batch   int    `help:"Entries to fetch at once." default:"1000"`
	Forward bool   `help:"Oldest entries first."`
	Step    string `help:"Evaluate a metric query every STEP instead of once, at the end of the range."`
	Output  string `help:"default, json (an object a line) or raw (lines only)." enum:"default,json,raw" default:"default" short:"o"`
	Stats   bool   `help:"Print on standard error what the query cost."`

	NoLabels bool          `help:"Print times and lines without labels."`
	Include  []string      `name:"include-label" help:"Print only these labels." placeholder:"LABEL"`
	Exclude  []string      `name:"exclude-label" help:"Do not print these labels." placeholder:"LABEL"`
	Quiet    bool          `help:"Do not print on standard error which labels all entries share." short:"q"`
	Interval time.Duration `help:"Skip entries that are less than this apart."`
	UTC      bool          `help:"Print times in UTC instead of local time."`
}

// Help is the long help.
func (*logsCmd) Help() string {
	return `Examples:

  pharos logs '{service_name="checkout"} |= "error"'
  pharos logs --tail '{service_name="checkout"} | json | status >= 500'
  pharos logs --since 24h --limit 0 -o raw '{service_name="checkout"}' > checkout.log
  pharos logs 'sum by (service_name) (count_over_time({service_name=~".+"}[5m]))'
  pharos logs --step 1m 'sum(rate({service_name="checkout"}[1m]))'

Labels that all entries share are printed once, on standard error; --include-label, --exclude-label and --no-labels
leave out more.`
}

// logEntry is one entry of an answer.
type logEntry struct {
	Time   int64             `json:"-"`
	Stamp  string            `json:"timestamp"`
	Labels map[string]string `json:"labels"`
	Line   string            `json:"line"`
}

// logStream is a stream of an answer of Loki's API.
type logStream struct {
	Stream map[string]string
	Values [][]json.RawMessage
}

// logEntries returns the entries of streams in order of time.
func logEntries(streams []logStream, forward bool) ([]logEntry, error) {
	var out []logEntry
	for _, s := range streams {
		for _, v := range s.Values {
			var stamp, line string
			if len(v) < 2 || json.Unmarshal(v[0], &stamp) != nil || json.Unmarshal(v[1], &line) != nil {
				return nil, errors.New("read answer: an entry is not a time and a line")
			}
			ns, err := strconv.ParseInt(stamp, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("read answer: %w", err)
			}
			out = append(out, logEntry{Time: ns, Labels: s.Stream, Line: line})
		}
	}
	slices.SortStableFunc(out, func(a, b logEntry) int {
		if !forward {
			a, b = b, a
		}
		return cmp.Compare(a.Time, b.Time)
	})
	return out, nil
}

// logPrinter prints entries.
type logPrinter struct {
	w    io.Writer
	cmd  *logsCmd
	hide map[string]string // labels that were printed once for all
}

// shows reports whether a label is printed at all.
func (c *logsCmd) shows(label string) bool {
	return !c.NoLabels && (len(c.Include) == 0 || slices.Contains(c.Include, label)) && !slices.Contains(c.Exclude, label)
}

func (p *logPrinter) print(es []logEntry) error {
	for i := range es {
		e := &es[i]
		at := time.Unix(0, e.Time)
		if p.cmd.UTC {
			at = at.UTC()
		}
		e.Stamp = at.Format(time.RFC3339Nano)
		var err error
		switch p.cmd.Output {
		case "raw":
			_, err = fmt.Fprintln(p.w, e.Line)
		case "json":
			var b []byte
			if b, err = json.Marshal(e); err == nil {
				_, err = fmt.Fprintf(p.w, "%s\n", b)
			}
		default:
			own := maps.Clone(e.Labels)
			maps.DeleteFunc(own, func(k, v string) bool { return !p.cmd.shows(k) || p.hide[k] == v })
			text := labels(own) + " "
			if p.cmd.NoLabels {
				text = ""
			}
			_, err = fmt.Fprintf(p.w, "%s %s%s\n", e.Stamp, text, e.Line)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// common returns the labels that all entries have.
func common(es []logEntry) map[string]string {
	if len(es) < 2 {
		return nil
	}
	out := map[string]string{}
	for k, v := range es[0].Labels {
		if !slices.ContainsFunc(es, func(e logEntry) bool { return e.Labels[k] != v }) {
			out[k] = v
		}
	}
	return out
}

// logTime reads a time as it is written on the command line.
func logTime(flag, s string, def time.Time) (time.Time, error) {
	if s == "" {
		return def, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(n, 0), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, fmt.Errorf("--%s %q: want RFC 3339, such as 2026-01-02T15:04:05Z, or Unix seconds", flag, s)
	}
	return t, nil
}

func (c *logsCmd) window() (from, to time.Time, err error) {
	if to, err = logTime("to", c.To, time.Now()); err != nil {
		return from, to, err
	}
	since, err := model.ParseDuration(c.Since)
	if err != nil {
		return from, to, fmt.Errorf("--since %q: want a duration such as 15m or 2d", c.Since)
	}
	from, err = logTime("from", c.From, to.Add(-time.Duration(since)))
	if err == nil && to.Before(from) {
		err = fmt.Errorf("the range ends at %s, before it begins at %s", to.Format(time.RFC3339), from.Format(time.RFC3339))
	}
	return from, to, err
}

// Run queries and prints.
func (c *logsCmd) Run(ctx context.Context, s streams) error {
	e, err := logql.Parse(c.Query)
	if err != nil {
		return err
	}
	from, to, err := c.window()
	if err != nil {
		return err
	}
	switch metric := logql.IsMetric(e); {
	case c.Tail && metric:
		return errors.New("--tail: only log queries can be tailed")
	case c.Tail:
		return c.tail(ctx, s, from)
	case metric:
		return c.metric(ctx, s, from, to)
	}
	return c.entries(ctx, s, from, to)
}

func (c *logsCmd) get(ctx context.Context, path string, params url.Values) ([]byte, error) {
	body, _, err := c.ask(ctx, path, "", params)
	return body, err
}

func (c *logsCmd) metric(ctx context.Context, s streams, from, to time.Time) error {
	path, params := "/loki/api/v1/query", url.Values{"query": {c.Query}, "time": {nanoText(to)}}
	if c.Step != "" {
		path = "/loki/api/v1/query_range"
		params = url.Values{"query": {c.Query}, "start": {nanoText(from)}, "end": {nanoText(to)}, "step": {c.Step}}
	}
	body, err := c.get(ctx, path, params)
	if err != nil {
		return err
	}
	c.cost(s.err, body)
	output := "table"
	if c.Output == "json" {
		output = "json"
	}
	return printPromLike(s.out, output, body)
}

func nanoText(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

// cost prints the statistics of an answer.
func (c *logsCmd) cost(w io.Writer, body []byte) {
	var res struct {
		Data struct {
			Stats struct {
				Summary struct {
					TotalBytesProcessed, TotalLinesProcessed, TotalEntriesReturned int64
					ExecTime                                                       float64
				}
			}
		}
	}
	if !c.Stats || json.Unmarshal(body, &res) != nil {
		return
	}
	sum := res.Data.Stats.Summary
	fmt.Fprintf(w, "%d entries from %d lines, %d bytes, in %s\n", sum.TotalEntriesReturned, sum.TotalLinesProcessed, sum.TotalBytesProcessed,
		time.Duration(sum.ExecTime*float64(time.Second)).Round(time.Microsecond))
}

// entries prints the answer to a log query, piece by piece.
func (c *logsCmd) entries(ctx context.Context, s streams, from, to time.Time) error {
	p := &logPrinter{w: s.out, cmd: c}
	direction := "backward"
	if c.Forward {
		direction = "forward"
	}
	edge := map[string]bool{} // entries of the time at which the last piece ended
	for first, left := true, c.Limit; first || c.Limit == 0 || left > 0; first = false {
		n := c.Batch + len(edge)
		if c.Limit > 0 {
			n = min(c.Batch, left) + len(edge)
		}
		params := url.Values{"query": {c.Query}, "start": {nanoText(from)}, "end": {nanoText(to)}, "limit": {strconv.Itoa(n)}, "direction": {direction}}
		if c.Interval > 0 {
			params.Set("interval", strconv.FormatFloat(c.Interval.Seconds(), 'f', -1, 64))
		}
		body, err := c.get(ctx, "/loki/api/v1/query_range", params)
		if err != nil {
			return err
		}
		c.cost(s.err, body)
		var res struct {
			Warnings []string
			Data     struct{ Result []logStream }
		}
		if err := json.Unmarshal(body, &res); err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
		for _, w := range res.Warnings {
			fmt.Fprintln(s.err, "warning:", w)
		}
		got, err := logEntries(res.Data.Result, c.Forward)
		if err != nil {
			return err
		}
		news := slices.DeleteFunc(slices.Clone(got), func(e logEntry) bool { return edge[e.key()] })
		if alone := len(got) < n || n == c.Limit; first && alone && c.Output == "default" { // later pieces may have others
			if p.hide = common(got); len(p.hide) > 0 && !c.NoLabels && !c.Quiet {
				shown := maps.Clone(p.hide)
				maps.DeleteFunc(shown, func(k, _ string) bool { return !c.shows(k) })
				fmt.Fprintln(s.err, "Common labels:", labels(shown))
			}
		}
		if err := p.print(news); err != nil {
			return err
		}
		left -= len(news)
		if len(got) < n || len(news) == 0 {
			return nil
		}
		last := got[len(got)-1].Time
		if c.Forward {
			from = time.Unix(0, last)
		} else {
			to = time.Unix(0, last+1)
		}
		clear(edge)
		for _, e := range got {
			if e.Time == last {
				edge[e.key()] = true
			}
		}
	}
	return nil
}

func (e *logEntry) key() string { return labels(e.Labels) + e.Line }

// tail prints new entries until ctx is done. When the server ends a tail because it has
// lasted long enough, it goes on with a new one.
func (c *logsCmd) tail(ctx context.Context, s streams, from time.Time) error {
	p := &logPrinter{w: s.out, cmd: c}
	for {
		last, err := c.tailOnce(ctx, s, p, from)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the user has seen enough
		case websocket.CloseStatus(err) == websocket.StatusNormalClosure, websocket.CloseStatus(err) == websocket.StatusGoingAway:
			from = time.Unix(0, max(from.UnixNano(), last+1))
		default:
			return err
		}
	}
}

func (c *logsCmd) tailOnce(ctx context.Context, s streams, p *logPrinter, from time.Time) (last int64, err error) {
	u := "ws" + strings.TrimPrefix(c.Addr, "http") + "/loki/api/v1/tail?" + url.Values{
		"query": {c.Query}, "limit": {strconv.Itoa(cmp.Or(c.Limit, c.Batch))}, "start": {nanoText(from)},
	}.Encode()
	opts := &websocket.DialOptions{HTTPHeader: http.Header{}}
	if c.Tenant != "" {
		opts.HTTPHeader.Set("X-Scope-OrgID", c.Tenant)
	}
	conn, resp, err := websocket.Dial(ctx, u, opts)
	if resp != nil && resp.Body != nil {
		defer resp.Body.Close() //nolint:errcheck // it is read as far as it matters
	}
	if err != nil {
		if resp != nil && resp.Body != nil {
			text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // the status says enough without it
			return 0, fmt.Errorf("the server answered %s: %s", resp.Status, text)
		}
		return 0, fmt.Errorf("tail: %w", err)
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(64 << 20)
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return last, fmt.Errorf("tail: %w", err)
		}
		var frame struct {
			Streams []logStream
			Dropped []json.RawMessage `json:"dropped_entries"`
			Total   int               `json:"dropped_total"`
		}
		if err := json.Unmarshal(data, &frame); err != nil {
			return last, fmt.Errorf("read answer: %w", err)
		}
		es, err := logEntries(frame.Streams, true)
		if err != nil {
			return last, err
		}
		if n := max(frame.Total, len(frame.Dropped)); n > 0 {
			fmt.Fprintf(s.err, "%d entries were dropped: they came faster than they could be sent\n", n)
		}
		if err := p.print(es); err != nil {
			return last, err
		}
		for i := range es {
			last = max(last, es[i].Time)
		}
	}
}
