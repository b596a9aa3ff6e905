package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/prometheus/common/model"
)

type queryCmd struct {
	PromQL promqlCmd `cmd:"" name:"promql" help:"Evaluate PromQL: at one time, or over a range with --step."`
}

// serverFlag says whom to ask.
type serverFlag struct {
	Addr   string `help:"Address of the server." default:"http://127.0.0.1:4319" env:"PHAROS_ADDR"`
	Tenant string `help:"Tenant, sent as X-Scope-OrgID; several, separated by |, to read from all of them." env:"PHAROS_TENANT"`
}

// queryFlags are common to the three languages.
type queryFlags struct {
	serverFlag
	Since  string `help:"How far back to look." default:"1h"`
	Output string `help:"table or json (the server's answer as it is)." enum:"table,json" default:"table"`
	Expr   string `arg:"" help:"The query."`
}

// window returns the time range to ask for.
func (f *queryFlags) window() (from, to time.Time, err error) {
	d, err := model.ParseDuration(f.Since)
	if err != nil {
		return from, to, fmt.Errorf("--since %q: want a duration such as 15m or 2d", f.Since)
	}
	to = time.Now()
	return to.Add(-time.Duration(d)), to, nil
}

// get asks the server and returns the body of its answer.
func (f *queryFlags) get(ctx context.Context, path string, params url.Values) ([]byte, error) {
	body, _, err := f.ask(ctx, path, "", params)
	return body, err
}

// ask sends a GET request; accept may name the form of the answer.
func (f *serverFlag) ask(ctx context.Context, path, accept string, params url.Values) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.Addr+path+"?"+params.Encode(), nil)
	if err != nil {
		return nil, nil, fmt.Errorf("query: %w", err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	if f.Tenant != "" {
		req.Header.Set("X-Scope-OrgID", f.Tenant)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("query: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to the end
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		var e struct{ Error string }
		if json.Unmarshal(body, &e) == nil && e.Error != "" {
			body = []byte(e.Error)
		}
		return nil, nil, fmt.Errorf("the server answered %s: %s", resp.Status, body)
	}
	return body, resp.Header, nil
}

type promqlCmd struct {
	queryFlags
	Step string `help:"Evaluate every STEP over --since instead of once."`
}

// Run evaluates and prints.
func (c *promqlCmd) Run(ctx context.Context, s streams) error {
	from, to, err := c.window()
	if err != nil {
		return err
	}
	params := url.Values{"query": {c.Expr}, "time": {seconds(to)}}
	path := "/api/v1/query"
	if c.Step != "" {
		path = "/api/v1/query_range"
		params = url.Values{"query": {c.Expr}, "start": {seconds(from)}, "end": {seconds(to)}, "step": {c.Step}}
	}
	body, err := c.get(ctx, path, params)
	if err != nil {
		return err
	}
	return printPromLike(s.out, c.Output, body)
}

func seconds(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

func printRaw(w io.Writer, body []byte, err error) error {
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", body)
	return err
}

// printPromLike prints the answer of the Prometheus or Loki API as a table: a line for
// each entry, or for each series and value.
func printPromLike(w io.Writer, output string, body []byte) error {
	if output == "json" {
		return printRaw(w, body, nil)
	}
	var res struct {
		Data struct {
			ResultType string
			Result     json.RawMessage
		}
		Warnings []string
	}
	if err := json.Unmarshal(body, &res); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if err := printResult(tw, res.Data.ResultType, res.Data.Result); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	for _, warning := range res.Warnings {
		fmt.Fprintln(tw, "warning:", warning)
	}
	return tw.Flush()
}

func printResult(w io.Writer, kind string, raw json.RawMessage) error {
	if kind == "scalar" || kind == "string" {
		var v [2]any
		if err := json.Unmarshal(raw, &v); err != nil {
			return err
		}
		fmt.Fprintln(w, v[1])
		return nil
	}
	var list []struct {
		Metric, Stream map[string]string
		Value          [2]any
		Values         [][2]any
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return err
	}
	for _, s := range list {
		switch kind {
		case "streams":
			for _, v := range s.Values {
				ns, _ := strconv.ParseInt(fmt.Sprint(v[0]), 10, 64)
				fmt.Fprintf(w, "%s\t%s\t%v\n", time.Unix(0, ns).Format(time.RFC3339Nano), labels(s.Stream), v[1])
			}
		case "matrix":
			fmt.Fprintln(w, labels(s.Metric))
			for _, v := range s.Values {
				at, _ := v[0].(float64)
				fmt.Fprintf(w, "  %s\t%v\n", strconv.FormatFloat(at, 'f', -1, 64), v[1])
			}
		default:
			fmt.Fprintf(w, "%s\t%v\n", labels(s.Metric), s.Value[1])
		}
	}
	return nil
}

func labels(m map[string]string) string {
	set := model.Metric{}
	for k, v := range m {
		set[model.LabelName(k)] = model.LabelValue(v)
	}
	return set.String()
}
