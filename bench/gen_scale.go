package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// seriesLoad is about the number of series rather than of samples: series of pods, eight
// labels each, of which two are new with every pod. A pod has 100 series.
type seriesLoad struct {
	title       string
	series      int       // active at one time
	scrapes     int       // of each series
	generations int       // how often all series are replaced by new ones
	first, last time.Time // fixed by the first server of a run
}

const seriesAPod = 100

func (l *seriesLoad) name() string { return l.title }

// podSeries encodes the labels of a series of a pod.
func podSeries(gen, pod, n int) []byte {
	id := uint64(gen)<<32 | uint64(pod)
	hash := (id*0x9e3779b97f4a7c15 + 0x1234567) ^ id<<7
	return encodeLabels([][2]string{
		{"__name__", fmt.Sprintf("app_metric_%02d_total", n%50)},
		{"cluster", "prod-" + strconv.Itoa(pod%3)},
		{"code", []string{"200", "500"}[n/50]},
		{"container", "app"},
		{"instance", fmt.Sprintf("10.%d.%d.%d:8080", gen, pod>>8, pod&255)},
		{"job", "app-" + strconv.Itoa(pod%100)},
		{"namespace", "team-" + strconv.Itoa(pod%40)},
		{"pod", fmt.Sprintf("app-%d-%016x", pod%100, hash)},
	})
}

func (l *seriesLoad) send(ctx context.Context, c config, p *proc) (int, int64, error) {
	if l.first.IsZero() {
		l.last = time.Now().Truncate(scrapeEvery)
		l.first = l.last.Add(-time.Duration(l.scrapes*l.generations-1) * scrapeEvery)
	}
	pods := l.series / seriesAPod
	return spread(ctx, c.senders, func(ctx context.Context, w int, sent *progress) error {
		req := writeRequest{v2: c.write2}
		flush := func() error {
			n := req.n
			size, err := req.post(ctx, p.base+p.writePath)
			sent.add(n, size)
			return err
		}
		for k := range l.scrapes * l.generations {
			ms := l.first.Add(time.Duration(k) * scrapeEvery).UnixMilli()
			for pod := w; pod < pods; pod += c.senders {
				for i := range seriesAPod {
					req.add(podSeries(k/l.scrapes, pod, i), float64(1000*i+k*i), ms)
					if req.n == samplesAWrite {
						if err := flush(); err != nil {
							return err
						}
					}
				}
			}
		}
		if req.n > 0 {
			return flush()
		}
		return nil
	})
}

func (l *seriesLoad) verify(ctx context.Context, p *proc, items int) error {
	var exprs []string
	for n := range 50 {
		exprs = append(exprs, fmt.Sprintf(`sum(count_over_time(app_metric_%02d_total[%ds]))`, n, int(l.last.Sub(l.first).Seconds())+10))
	}
	return countSamples(ctx, p, l.last, items, exprs...)
}

func (l *seriesLoad) queries(*proc) []query {
	at := fmt.Sprint(l.last.Unix())
	instant := func(expr string) query {
		return query{name: "instant `" + expr + "`", path: "/api/v1/query?" + url.Values{"query": {expr}, "time": {at}}.Encode()}
	}
	span := url.Values{"start": {fmt.Sprint(l.first.Unix())}, "end": {at}}
	return []query{
		instant(`sum by (namespace) (app_metric_07_total)`),
		instant(`count by (job) ({cluster="prod-1", code="500"})`),
		instant(`sum(app_metric_08_total{pod=~"app-1.-.*f0.*"})`),
		{name: "label values of namespace", path: "/api/v1/label/namespace/values?" + span.Encode()},
	}
}
