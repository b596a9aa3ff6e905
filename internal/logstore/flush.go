package logstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
)

// writeHead writes the entries of h to one part for each tenant and day. The parts that
// were finished are returned also with an error.
func (s *Store) writeHead(ctx context.Context, h *head) ([]*part.Finished, error) {
	var done []*part.Finished
	for _, tenant := range slices.Sorted(maps.Keys(h.tenants)) {
		streams := slices.Clone(h.tenants[tenant].streams)
		slices.SortFunc(streams, func(a, b *headStream) int { return a.stream.labels.Compare(b.stream.labels) })
		rows := make([][]row, len(streams))
		days := map[part.Day]bool{}
		for i, hs := range streams {
			rows[i] = sortRows(hs.rows, hs.sorted)
			for at := 0; at < len(rows[i]); {
				day := part.DayOf(rows[i][at].time)
				days[day] = true
				at += upTo(rows[i][at:], (day + 1).Start())
			}
		}
		for _, day := range slices.Sorted(maps.Keys(days)) {
			if err := ctx.Err(); err != nil {
				return done, err
			}
			d, err := s.writeDay(tenant, day, streams, rows)
			if err != nil {
				return done, fmt.Errorf("write %s of tenant %s: %w", day, tenant, err)
			}
			done = append(done, d)
		}
	}
	return done, nil
}

// upTo returns the number of rows before time.
func upTo(rows []row, time int64) int {
	return sort.Search(len(rows), func(i int) bool { return rows[i].time >= time })
}

// writeDay writes the rows of day, which are sorted, to a part.
func (s *Store) writeDay(tenant model.Tenant, day part.Day, streams []*headStream, rows [][]row) (*part.Finished, error) {
	w, err := s.set.Create(tenant, day)
	if err != nil {
		return nil, err
	}
	b := s.takeBuilders()
	defer s.giveBuilders(b)
	p := newPartWriter(w, b, s.zstd)
	for i, hs := range streams {
		of := rows[i]
		of = of[upTo(of, day.Start()):upTo(of, (day+1).Start())]
		if len(of) == 0 {
			continue
		}
		if err = p.addRows(p.addStream(hs.stream.labels), of); err == nil {
			err = p.endStream()
		}
		if err != nil {
			w.Abort()
			return nil, err
		}
	}
	return p.finish()
}
