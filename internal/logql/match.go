package logql

import (
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Filter says which entries a log query means: those that it returns, in whatever form.
// Entries on which a stage fails are not meant. ms are the matchers of its streams. newMatch
// returns a function for the entries of these, which is for one goroutine; it is nil if all
// are meant. Errors match [ErrParse].
func Filter(text string) (ms []*model.Matcher, newMatch func() func(stream model.Labels, e *store.LogEntry) bool, err error) {
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
	newMatch = func() func(model.Labels, *store.LogEntry) bool {
		p, err := compile(q.stages, compileOptions{now: time.Now})
		if err != nil {
			model.Bug("compile %s for the second time: %v", q, err)
		}
		return func(stream model.Labels, e *store.LogEntry) bool {
			if !p.passes(e.Line) {
				return false
			}
			p.row.begin(e.Time, e.Line, stream)
			for _, m := range e.Meta {
				p.row.addMeta(m.Name, m.Value)
			}
			return p.run() && p.row.err == ""
		}
	}
	return q.Matchers, newMatch, nil
}
