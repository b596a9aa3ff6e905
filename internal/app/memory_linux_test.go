package app

import (
	"os"
	"strings"
	"testing"
)

func TestGiveBackBinary(t *testing.T) {
	fileRSS := func() string {
		b, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(b), "RssFile:")
		line, _, _ := strings.Cut(rest, "\n")
		return strings.TrimSpace(line)
	}
	before := fileRSS()
	giveBackBinary()
	t.Logf("file pages mapped: %s, then %s", before, fileRSS())
	cfg := testConfig(t)
	if err := CheckPipeline(t.Context(), cfg); err != nil { // code that was unmapped
		t.Error(err)
	}
}

func TestParseRange(t *testing.T) {
	if from, to := parseRange("00402000-0368f000"); from != 0x402000 || to != 0x368f000 {
		t.Errorf("%x-%x", from, to)
	}
	if from, to := parseRange("[stack]-x"); from != 0 || to != 0 {
		t.Errorf("%x-%x", from, to)
	}
}
