package wire

import (
	"errors"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pharos-o11y/pharos/internal/model"
)

// FuzzReader compares walking a message with protobuf's own parser.
func FuzzReader(f *testing.F) {
	b := protowire.AppendTag(nil, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, 300)
	b = protowire.AppendTag(b, 2, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, math.Float64bits(1.5))
	b = protowire.AppendTag(b, 500, protowire.BytesType)
	b = protowire.AppendString(b, "hello")
	b = protowire.AppendTag(b, 4, protowire.Fixed32Type)
	f.Add(protowire.AppendFixed32(b, 7))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := NewReader(body)
		rest := body
		for r.More() {
			num, typ, err := r.Field()
			if err == nil {
				err = r.Skip(typ)
			}
			wantNum, wantTyp, n := protowire.ConsumeField(rest)
			if err != nil {
				if !errors.Is(err, model.ErrMalformed) {
					t.Fatalf("error %v does not wrap model.ErrMalformed", err)
				}
				if n >= 0 && wantTyp != protowire.StartGroupType {
					t.Fatalf("error %v on a field that protobuf reads: %d", err, wantNum)
				}
				return
			}
			if n < 0 || int(wantNum) != num || Type(wantTyp) != typ {
				// Field numbers above 2^29-1 are protobuf's to refuse; here they are skipped.
				if num > 1<<29-1 {
					return
				}
				t.Fatalf("field %d type %d, want %d type %d (%d)", num, typ, wantNum, wantTyp, n)
			}
			rest = rest[n:]
			if got := len(body) - r.Pos(); got != len(rest) {
				t.Fatalf("%d bytes left, want %d", got, len(rest))
			}
		}
	})
}

func TestErrorsNameTheOffset(t *testing.T) {
	tests := []struct {
		body, want string
	}{
		{"\x0a\x05abc", "at byte 2: a field of 5 bytes is cut off, 3 bytes are left"},
		{"\x08\xff", "at byte 1: it is cut off inside a varint"},
		{"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "longer than 64 bits"},
		{"\x09\x01", "inside a 64-bit number"},
		{"\x0d\x01", "inside a 32-bit number"},
		{"\x0b", "wire type 3"},
		{"\x00", "field number 0"},
	}
	for _, tt := range tests {
		r := NewReader([]byte(tt.body))
		_, typ, err := r.Field()
		if err == nil {
			err = r.Skip(typ)
		}
		if !errors.Is(err, model.ErrMalformed) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want %q", tt.body, err, tt.want)
		}
	}
}

func TestValues(t *testing.T) {
	b := protowire.AppendVarint(nil, protowire.EncodeZigZag(-12))
	b = protowire.AppendFixed64(b, math.Float64bits(-0.5))
	b = protowire.AppendBytes(b, []byte{0x0a, 0x01, 'x'})
	r := NewReader(b)
	if v, err := r.Sint64(); v != -12 || err != nil {
		t.Errorf("Sint64 = %d, %v", v, err)
	}
	if v, err := r.Float64(); v != -0.5 || err != nil {
		t.Errorf("Float64 = %g, %v", v, err)
	}
	m, err := r.Message()
	if err != nil || r.More() {
		t.Fatalf("Message: %v, more: %t", err, r.More())
	}
	if num, typ, err := m.Field(); num != 1 || typ != Bytes || err != nil {
		t.Errorf("Field = %d, %d, %v", num, typ, err)
	}
	if s, err := m.String(); s != "x" || err != nil {
		t.Errorf("String = %q, %v", s, err)
	}
}
