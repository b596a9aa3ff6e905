package telemetry

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func TestZapBridge(t *testing.T) {
	var buf bytes.Buffer
	z := NewZap(NewLogger(&buf, "info", "text")).Named("otlp").With(zap.String("kind", "receiver"))
	z.Debug("hidden")
	z.Info("started", zap.Int("port", 4317), zap.Namespace("ns"), zap.Bool("tls", false))
	z.Warn("slow")
	z.Error("broken", zap.Error(errors.New("no space")))
	lines := strings.Split(strings.TrimSpace(buf.String()), "\n")
	wants := []string{
		`level=INFO msg=started kind=receiver logger=otlp port=4317 ns.tls=false`,
		`level=WARN msg=slow kind=receiver logger=otlp`,
		`level=ERROR msg=broken kind=receiver logger=otlp error="no space"`,
	}
	if len(lines) != len(wants) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(wants), buf.String())
	}
	for i, want := range wants {
		if !strings.HasSuffix(lines[i], want) {
			t.Errorf("line %d = %q, want …%q", i, lines[i], want)
		}
	}
}
