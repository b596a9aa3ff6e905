package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"
)

// query is a question: the same name asks the same of every server.
type query struct {
	name   string
	path   string
	status int // expected; 0 means 200
}

// answer is what asking cost.
type answer struct {
	load, server, query string
	cpu                 time.Duration // of the server, a time
	wall                time.Duration // the fastest
	coldCPU, coldWall   time.Duration // of the first time
	failed              string
}

// ask asks each query once to warm up and then repeat times.
func ask(ctx context.Context, c config, p *proc, load workload, rep *report) error {
	for _, q := range load.queries(p) {
		a := answer{load: load.name(), server: p.title, query: q.name}
		fresh, err := p.usage()
		if err != nil {
			return err
		}
		asked := time.Now()
		if err := once(ctx, p, q); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			fmt.Fprintf(os.Stderr, "\n%s: %s: %v\n", p.name, q.name, err)
			a.failed = err.Error()
			rep.answers = append(rep.answers, a)
			continue
		}
		// Enough repetitions for a clock of 10 ms, bounded by time.
		a.coldWall = time.Since(asked)
		before, err := p.usage()
		if err != nil {
			return err
		}
		a.coldCPU = before.cpu - fresh.cpu
		began, n := time.Now(), 0
		for n < c.repeat || n < 50*c.repeat && time.Since(began) < 400*time.Millisecond {
			t := time.Now()
			if err := once(ctx, p, q); err != nil {
				return err
			}
			if d := time.Since(t); a.wall == 0 || d < a.wall {
				a.wall = d
			}
			n++
			if time.Since(began) > 30*time.Second {
				break
			}
		}
		after, err := p.usage()
		if err != nil {
			return err
		}
		a.cpu = (after.cpu - before.cpu) / time.Duration(n)
		rep.answers = append(rep.answers, a)
	}
	return nil
}

func once(ctx context.Context, p *proc, q query) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	body, err := p.get(ctx, q.path, nil)
	if q.status == http.StatusNotFound && err != nil && body != nil {
		return nil
	}
	return err
}
