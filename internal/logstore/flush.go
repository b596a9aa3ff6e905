package logstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
)

// A head that nothing comes to any more is flushed early, since parts are quicker to search,
// if it is worth a part of its own: if merges will take over most of the blocks as they are.
const (
	quietAfter = 2 * time.Second
	quietText  = 8 * minBlockText // of each tenant
)

// A part costs something for each of its streams, whatever it has of them, and merges pay that
// again. So a head of many streams is filled more, by streamRoom for each, up to twice the size.
const streamRoom = 256

// full reports whether h has grown enough to be flushed.
func (h *head) full(opts *Options) bool {
	return h.bytes >= opts.HeadSize+min(opts.HeadSize, streamRoom*h.streams)
}

// due reports whether h has to be flushed.
func (h *head) due(now time.Time, opts *Options) bool {
	switch {
	case h.since.IsZero():
		return false
	case h.full(opts), now.Sub(h.since) >= opts.HeadAge:
		return true
	}
	return now.Sub(h.last) >= quietAfter && h.bytes >= max(quietText*len(h.tenants), minSegmentText*h.streams)
}

// writeHead writes the entries of h to one part for each tenant and day. The parts that
// were finished are returned also with an error.
func (s *Store) writeHead(ctx context.Context, h *head) ([]*part.Finished, error) {
	var done []*part.Finished
	for _, tenant := range slices.Sorted(maps.Keys(h.tenants)) {
		streams := slices.Clone(h.tenants[tenant].streams)
		sortStreams(streams)
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

// sortStreams puts streams in order of labels. With many of them that is much of a flush, so
// it compares one text of each, in which a zero byte ends each name and value.
func sortStreams(streams []*headStream) {
	size := 0
	for _, hs := range streams {
		if strings.IndexByte(hs.stream.key, 0) >= 0 { // in a label
			slices.SortFunc(streams, func(a, b *headStream) int { return a.stream.labels.Compare(b.stream.labels) })
			return
		}
		size += len(hs.stream.key)
	}
	type keyed struct {
		key string
		hs  *headStream
	}
	list := make([]keyed, len(streams))
	arena := make([]byte, 0, size) // never grows: a key has a length where a text has an end
	for i, hs := range streams {
		from := len(arena)
		for _, l := range hs.stream.labels {
			arena = append(append(arena, l.Name...), 0)
			arena = append(append(arena, l.Value...), 0)
		}
		list[i] = keyed{text(arena[from:]), hs}
	}
	slices.SortFunc(list, func(a, b keyed) int { return strings.Compare(a.key, b.key) })
	for i := range list {
		streams[i] = list[i].hs
	}
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
	p.expect(len(streams))
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
