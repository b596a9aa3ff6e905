package loki

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/logql"
	"github.com/pharos-o11y/pharos/internal/store"
)

const (
	minPatternStep   = 10 * time.Second
	maxPatternPoints = 11_000 // of one pattern
)

// patterns answers /loki/api/v1/patterns: what the lines of the selected streams look
// like, and how many there were of each kind.
func (a *API) patterns(w http.ResponseWriter, r *http.Request) error {
	rng, err := a.timeRange(r)
	if err != nil {
		return err
	}
	limits := Limits{}.withDefaults()
	step, err := limits.step(r, rng)
	if err != nil {
		return err
	}
	if step = max(step, minPatternStep); (rng.To-rng.From)/int64(step) > maxPatternPoints {
		return api.Invalid("patterns would have more than %d points. Try increasing the value of the step parameter", maxPatternPoints)
	}
	var found []logql.Pattern
	st, err := a.lookup(r, true, false, func(ctx context.Context, src *source, sel store.LogSelector) (err error) {
		found, err = src.engine.Patterns(ctx, src.name, sel.Matchers, sel.Range, step, sel.Account)
		return err
	})
	if err != nil {
		return err
	}
	e := newEncoder(w)
	e.raw(`{"status":"success",`)
	e.warnings(st.Warnings)
	e.raw(`"data":[`)
	for i := range found {
		if i > 0 {
			e.raw(`,`)
		}
		e.pattern(&found[i])
		e.spill()
	}
	e.raw("]}\n")
	return e.close()
}

func (e *encoder) pattern(p *logql.Pattern) {
	e.raw(`{"pattern":`)
	e.b = appendString(e.b, p.Text)
	if p.Level != "" {
		e.raw(`,"level":`)
		e.b = appendString(e.b, p.Level)
	}
	e.raw(`,"samples":[`)
	for i, s := range p.Points {
		if i > 0 {
			e.raw(`,`)
		}
		e.raw(`[`)
		e.b = api.AppendThousandths(e.b, s.Time/int64(time.Millisecond))
		e.raw(`,`)
		e.b = strconv.AppendInt(e.b, int64(s.Value), 10)
		e.raw(`]`)
	}
	e.raw(`]}`)
}
