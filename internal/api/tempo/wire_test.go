package tempo

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// field returns the first bytes field num of a message.
func field(t testing.TB, b []byte, num protowire.Number) []byte {
	t.Helper()
	for len(b) > 0 {
		n, typ, l := protowire.ConsumeTag(b)
		if l < 0 {
			t.Fatalf("bad tag in % x", b)
		}
		b = b[l:]
		if n == num && typ == protowire.BytesType {
			v, l := protowire.ConsumeBytes(b)
			if l < 0 {
				t.Fatalf("bad field in % x", b)
			}
			return v
		}
		l = protowire.ConsumeFieldValue(n, typ, b)
		if l < 0 {
			t.Fatalf("bad field in % x", b)
		}
		b = b[l:]
	}
	t.Fatalf("no field %d", num)
	return nil
}
