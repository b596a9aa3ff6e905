package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// report collects the rows of the tables.
type report struct {
	started time.Time
	command string
	cpus    int
	notes   []string
	ingest  []ingestRow
	answers []answer
}

type ingestRow struct {
	load, server   string
	items          int
	raw            int64
	wall, cpu      time.Duration
	rssIngest, rss int64
	disk, wal      int64
}

func (r *report) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

const (
	beginMark = "<!-- bench:begin (written by bench; do not edit) -->"
	endMark   = "<!-- bench:end -->"
)

// markdown renders everything.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured %s on %d cores of `%s`, by this command in `bench/`:\n\n    %s\n", r.started.UTC().Format("2006-01-02"), r.cpus, cpuModel(), r.command)
	for _, load := range []string{"metrics", "month", "otlp", "churn", "million", "logs", "otel-logs", "spans"} {
		r.ingestTable(&b, load)
		r.queryTable(&b, load)
	}
	if len(r.notes) > 0 {
		b.WriteString("\nNotes of this run:\n\n")
		for _, n := range r.notes {
			fmt.Fprintf(&b, "- %s\n", strings.ReplaceAll(n, "\n", " "))
		}
	}
	return b.String()
}

func (r *report) ingestTable(b *strings.Builder, load string) {
	var rows []ingestRow
	for _, row := range r.ingest {
		if row.load == load {
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return
	}
	title := map[string]string{
		"metrics":   "Metrics: remote write of node_exporter-shaped series",
		"month":     "Metrics: 29 days of a few hosts, a scrape every two minutes; asked after a restart",
		"otlp":      "Metrics: OTLP over HTTP as SDKs export them",
		"churn":     "Churn: every sample is the first of a series",
		"million":   "Many series: four scrapes of them",
		"logs":      "Logs: Loki push of 70% text and 30% JSON lines",
		"otel-logs": "Logs: OTLP over HTTP, 11 attributes a record",
		"spans":     "Spans: OTLP gRPC, about 20 attributes a span",
	}[load]
	fmt.Fprintf(b, "\n### %s\n\n%s items, %.0f MB before compression.\n\n", title, thousands(rows[0].items), float64(rows[0].raw)/1e6)
	b.WriteString("| server | CPU s | CPU a million | CPU against Pharos | peak RSS, ingest | peak RSS, all | disk | bytes an item | disk against Pharos | WAL left |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, row := range rows {
		cpuRatio, diskRatio := "", ""
		if p := rows[0]; p.server == "Pharos" && row.server != "Pharos" {
			cpuRatio = fmt.Sprintf("%.1fx", row.cpu.Seconds()/p.cpu.Seconds())
			if p.disk > 0 {
				diskRatio = fmt.Sprintf("%.2fx", float64(row.disk)/float64(p.disk))
			}
		}
		fmt.Fprintf(b, "| %s | %.2f | %.2f s | %s | %.0f MB | %.0f MB | %.1f MB | %.2f | %s | %.1f MB |\n",
			row.server, row.cpu.Seconds(), row.cpu.Seconds()/float64(row.items)*1e6, cpuRatio,
			float64(row.rssIngest)/1e6, float64(row.rss)/1e6, float64(row.disk)/1e6, float64(row.disk)/float64(row.items), diskRatio, float64(row.wal)/1e6)
	}
}

func (r *report) queryTable(b *strings.Builder, load string) {
	var servers, names []string
	cell := map[[2]string]answer{}
	for _, a := range r.answers {
		if a.load != load {
			continue
		}
		if !slices.Contains(servers, a.server) {
			servers = append(servers, a.server)
		}
		if !slices.Contains(names, a.query) {
			names = append(names, a.query)
		}
		cell[[2]string{a.server, a.query}] = a
	}
	if len(names) == 0 {
		return
	}
	b.WriteString("\nCPU milliseconds of the server a query (in brackets: the fastest wall time):\n\n| query |")
	for _, s := range servers {
		b.WriteString(" " + s + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("--:|", len(servers)) + "\n")
	ratios := map[string][]float64{}
	for _, n := range names {
		fmt.Fprintf(b, "| %s |", strings.ReplaceAll(n, "|", `\|`))
		own := cell[[2]string{"Pharos", n}]
		for _, s := range servers {
			a, ok := cell[[2]string{s, n}]
			switch {
			case !ok:
				b.WriteString(" – |")
			case a.failed != "":
				b.WriteString(" failed |")
			default:
				fmt.Fprintf(b, " %.1f (%.1f)", ms(a.cpu), ms(a.wall))
				if load == month {
					fmt.Fprintf(b, ", cold %.0f (%.0f)", ms(a.coldCPU), ms(a.coldWall))
				}
				b.WriteString(" |")
				if s != "Pharos" && own.failed == "" && own.cpu > 0 && a.cpu > 0 {
					ratios[s] = append(ratios[s], a.cpu.Seconds()/own.cpu.Seconds())
				}
			}
		}
		b.WriteString("\n")
	}
	for _, s := range servers {
		if rs := ratios[s]; len(rs) > 0 {
			sum := 0.
			for _, x := range rs {
				sum += math.Log(x)
			}
			fmt.Fprintf(b, "\n%s spends %.2f times the CPU of Pharos (geometric mean of %d queries).\n", s, math.Exp(sum/float64(len(rs))), len(rs))
		}
	}
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(info)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

// rewrite replaces the section of file between the markers; it makes the file, or appends
// the section, where there is none.
func rewrite(file, text string) error {
	old, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	doc := string(old)
	if doc == "" {
		doc = "# Performance\n\n" + beginMark + endMark + "\n"
	}
	begin, end := strings.Index(doc, beginMark), strings.Index(doc, endMark)
	if begin < 0 || end < begin {
		doc += "\n" + beginMark + endMark + "\n"
		begin, end = strings.Index(doc, beginMark), strings.Index(doc, endMark)
	}
	doc = doc[:begin] + beginMark + "\n" + strings.TrimSpace(text) + "\n" + doc[end:]
	return os.WriteFile(file, []byte(doc), 0o644)
}
