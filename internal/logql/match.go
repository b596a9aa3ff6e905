package logql

import (
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Filter says which entries a log query means: those that it returns, in whatever form.
// Entries on which a stage fails are not meant. ms are the matchers of its streams. newMatch
// returns a function for the entries of these, which is for one goroutine; it is nil if all
// are meant. Errors match [ErrParse].
func Filter(text string) (ms []*model.Matcher, newMatch func() func(stream model.Labels, at int64, line string, meta model.Labels) bool, err error) {
	e, err := Parse(text)
	if err != nil {
		return nil, nil, err
	}
	q, ok := e.(*LogQuery)
	if !ok {
		return nil, nil, parseErrorf("%s is a metric query; a log query is wanted", e)
	}
	if !q.HasPipeline() {
		return q.Matchers, nil, nil
	}
	if _, err := compile(q.stages, compileOptions{now: time.Now}); err != nil {
		return nil, nil, err
	}
	newMatch = func() func(model.Labels, int64, string, model.Labels) bool {
		p, err := compile(q.stages, compileOptions{now: time.Now})
		if err != nil {
			model.Bug("compile %s for the second time: %v", q, err)
		}
		return func(stream model.Labels, at int64, line string, meta model.Labels) bool {
			if !p.passes(line) {
				return false
			}
			p.row.begin(at, line, stream)
			for _, m := range meta {
				p.row.addMeta(m.Name, m.Value)
			}
			return p.run() && p.row.err == ""
		}
	}
	return q.Matchers, newMatch, nil
}
