package lokipush

import (
	"math"

	"github.com/pharos-o11y/pharos/internal/ingest/logrules"
	"github.com/pharos-o11y/pharos/internal/ingest/wire"
)

// decodeProto decodes a logproto.PushRequest. Lines and metadata point into body.
func (s *Server) decodeProto(body []byte, b *logrules.Builder) error {
	r := wire.NewReader(body)
	streams := 0
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		if num != 1 {
			if err := r.Skip(typ); err != nil {
				return err
			}
			continue
		}
		if err := r.Expect("PushRequest", num, typ, wire.Bytes); err != nil {
			return err
		}
		m, err := r.Message()
		if err != nil {
			return err
		}
		streams++
		if err := s.protoStream(m, b); err != nil {
			return err
		}
	}
	if streams == 0 {
		return errNoStreams()
	}
	return nil
}

// protoStream decodes a StreamAdapter. Its labels come first in what every client sends;
// they may come last, so they are looked for before the entries.
func (s *Server) protoStream(r wire.Reader, b *logrules.Builder) error {
	scan, text, entries := r, "", 0
	for scan.More() {
		num, typ, err := scan.Field()
		if err != nil {
			return err
		}
		switch {
		case num == 1 && typ == wire.Bytes:
			text, err = scan.String()
		case num == 2 && typ == wire.Bytes:
			entries++
			err = scan.Skip(typ)
		case num <= 2:
			err = scan.Errorf("field %d of StreamAdapter has wire type %d", num, typ)
		default:
			err = scan.Skip(typ)
		}
		if err != nil {
			return err
		}
	}
	stream, err := s.streams.of(b.Rules(), false).get(text, logrules.ParseLabels)
	if err != nil {
		b.RefuseStream(entries, err)
		return nil
	}
	b.Stream(stream)
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		if num != 2 {
			if err := r.Skip(typ); err != nil {
				return err
			}
			continue
		}
		m, err := r.Message()
		if err != nil {
			return err
		}
		if err := protoEntry(m, b); err != nil {
			return err
		}
	}
	return nil
}

// protoEntry decodes an EntryAdapter.
func protoEntry(r wire.Reader, b *logrules.Builder) error {
	var ts int64
	var line string
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		if num <= 3 {
			if err := r.Expect("EntryAdapter", num, typ, wire.Bytes); err != nil {
				return err
			}
		}
		switch num {
		case 1:
			var m wire.Reader
			if m, err = r.Message(); err == nil {
				ts, err = protoTime(m)
			}
		case 2:
			line, err = r.String()
		case 3:
			var m wire.Reader
			if m, err = r.Message(); err == nil {
				err = protoMeta(m, b)
			}
		default:
			err = r.Skip(typ)
		}
		if err != nil {
			return err
		}
	}
	b.Entry(ts, line)
	return nil
}

// protoTime decodes a google.protobuf.Timestamp to Unix nanoseconds, saturating.
func protoTime(r wire.Reader) (int64, error) {
	var seconds, nanos int64
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return 0, err
		}
		switch {
		case num == 1 && typ == wire.Varint:
			seconds, err = r.Int64()
		case num == 2 && typ == wire.Varint:
			nanos, err = r.Int64()
		case num <= 2:
			err = r.Errorf("field %d of Timestamp has wire type %d", num, typ)
		default:
			err = r.Skip(typ)
		}
		if err != nil {
			return 0, err
		}
	}
	const most = math.MaxInt64/1_000_000_000 - 1
	switch {
	case seconds > most:
		return math.MaxInt64, nil
	case seconds < -most:
		return math.MinInt64, nil
	}
	return seconds*1_000_000_000 + int64(int32(nanos)), nil
}

// protoMeta decodes a LabelPairAdapter.
func protoMeta(r wire.Reader, b *logrules.Builder) error {
	var name, value string
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		switch {
		case num == 1 && typ == wire.Bytes:
			name, err = r.String()
		case num == 2 && typ == wire.Bytes:
			value, err = r.String()
		case num <= 2:
			err = r.Errorf("field %d of LabelPairAdapter has wire type %d", num, typ)
		default:
			err = r.Skip(typ)
		}
		if err != nil {
			return err
		}
	}
	b.Meta(name, value)
	return nil
}
