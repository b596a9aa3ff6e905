package nesting

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// nested returns a log whose body is an array in an array and so on.
func nested(levels int) plog.Logs {
	ld := plog.NewLogs()
	r := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	r.Attributes().PutStr("text", strings.Repeat("\n2\"*:BJRZbjrz", 1000))
	v := r.Body()
	for range levels {
		v = v.SetEmptySlice().AppendEmpty()
	}
	v.SetStr("x")
	return ld
}

func TestOTLP(t *testing.T) {
	for _, tt := range []struct {
		levels int
		want   error
	}{{0, nil}, {300, nil}, {5000, ErrTooDeep}} {
		ld := nested(tt.levels)
		b, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
		if err != nil {
			t.Fatal(err)
		}
		if err := Proto(b); !errors.Is(err, tt.want) {
			t.Errorf("protobuf, %d levels: %v, want %v", tt.levels, err, tt.want)
		}
		j, err := (&plog.JSONMarshaler{}).MarshalLogs(ld)
		if err != nil {
			t.Fatal(err)
		}
		if err := JSON(j); !errors.Is(err, tt.want) {
			t.Errorf("JSON, %d levels: %v, want %v", tt.levels, err, tt.want)
		}
	}
}

// TestMapsCount nests maps, whose protobuf has one level more than arrays.
func TestMapsCount(t *testing.T) {
	v := pcommon.NewValueMap()
	ld := plog.NewLogs()
	body := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body()
	m := v.Map()
	for range 2000 {
		m = m.PutEmptyMap("k")
	}
	v.CopyTo(body)
	b, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
	if err != nil {
		t.Fatal(err)
	}
	if err := Proto(b); !errors.Is(err, ErrTooDeep) {
		t.Errorf("error %v", err)
	}
}

// TestJunkHidesNothing puts bytes around the nested part that a decoder skips.
func TestJunkHidesNothing(t *testing.T) {
	deep := []byte{}
	for range 3000 { // field 1, bytes
		deep = slices.Concat([]byte{0x0a}, binary.AppendUvarint(nil, uint64(len(deep))), deep)
	}
	for name, b := range map[string][]byte{
		"unknown varint": slices.Concat([]byte{0x78, 0x01}, deep),
		"group":          slices.Concat([]byte{0x7b, 0x7c}, deep),
		"text before":    slices.Concat([]byte{0x12, 3, 0xff, 0xff, 0xff}, deep),
		"junk behind":    slices.Concat(deep, []byte{0xff, 0xff}),
		"fixed":          slices.Concat([]byte{0x7d, 1, 2, 3, 4, 0x79, 1, 2, 3, 4, 5, 6, 7, 8}, deep),
	} {
		if err := Proto(b); !errors.Is(err, ErrTooDeep) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func FuzzBoth(f *testing.F) {
	f.Add([]byte{0x0a, 0x02, 0x0a, 0x00}, `[{"a":"\"["}]`)
	f.Fuzz(func(_ *testing.T, b []byte, s string) {
		_ = Proto(b)
		_ = JSON([]byte(s))
	})
}

// TestEdge nests empty messages, which take the least room: the deepest that passes, and
// one level more.
func TestEdge(t *testing.T) {
	var b []byte
	for level := 1; level <= Max; level++ {
		b = append(binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(b))), b...)
		var want error
		if level == Max { // the message around all counts, too
			want = ErrTooDeep
		}
		if err := Proto(b); !errors.Is(err, want) {
			t.Errorf("%d levels in %d bytes: %v, want %v", level, len(b), err, want)
		}
	}
}
