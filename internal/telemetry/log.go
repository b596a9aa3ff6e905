// Package telemetry is how Pharos observes itself: its logger, the bridge from the
// Collector's logger to it, and traces of its own requests. Metrics need nothing here:
// every package registers its own with the registry that app passes around.
package telemetry

import (
	"io"
	"log/slog"
)

// NewLogger returns a logger that writes lines of format (text or json) to w, from level
// (debug, info, warn or error) on. Unknown words mean text and info.
func NewLogger(w io.Writer, level, format string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
