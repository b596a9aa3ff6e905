package remotewrite

import (
	"strings"
	"testing"
)

func TestKeyNeedsAMetricName(t *testing.T) {
	key := "\x0a\x08\x0a\x03job\x12\x01a"
	if _, err := decodeKey([]byte(key), nil); err == nil || !strings.Contains(err.Error(), `series {job="a"} has no metric name`) {
		t.Errorf("error %v", err)
	}
	if _, err := decodeKey([]byte(key+"\x0a\x0d\x0a\x08__name__\x12\x01x"), nil); err != nil {
		t.Errorf("with a name: %v", err)
	}
}
