package telemetry

import (
	"context"
	"log/slog"
	"runtime"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// NewZap returns a zap logger that writes to l: what the Collector logs comes out in our
// format, at our level. Fields become attributes, named loggers a logger attribute.
func NewZap(l *slog.Logger) *zap.Logger {
	return zap.New(zapBridge{l.Handler()}, zap.WithCaller(true))
}

// zapBridge is a zapcore.Core over a slog.Handler.
type zapBridge struct{ h slog.Handler }

// Enabled implements zapcore.LevelEnabler.
func (b zapBridge) Enabled(l zapcore.Level) bool {
	return b.h.Enabled(context.Background(), slogLevel(l)) //nolint:forbidigo // zap has no context to pass on
}

// With implements zapcore.Core.
func (b zapBridge) With(fields []zapcore.Field) zapcore.Core {
	return zapBridge{b.h.WithAttrs(attrs(fields))}
}

// Check implements zapcore.Core.
func (b zapBridge) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if b.Enabled(e.Level) {
		return ce.AddCore(e, b)
	}
	return ce
}

// Write implements zapcore.Core.
func (b zapBridge) Write(e zapcore.Entry, fields []zapcore.Field) error {
	var pc uintptr
	if e.Caller.Defined {
		pc = e.Caller.PC
	}
	if pc == 0 {
		var pcs [1]uintptr
		runtime.Callers(2, pcs[:])
		pc = pcs[0]
	}
	r := slog.NewRecord(e.Time, slogLevel(e.Level), e.Message, pc)
	if e.LoggerName != "" {
		r.AddAttrs(slog.String("logger", e.LoggerName))
	}
	r.AddAttrs(attrs(fields)...)
	return b.h.Handle(context.Background(), r) //nolint:forbidigo // zap has no context to pass on
}

// Sync implements zapcore.Core. slog handlers do not buffer.
func (zapBridge) Sync() error { return nil }

// slogLevel maps zap's levels; those above error are errors.
func slogLevel(l zapcore.Level) slog.Level {
	switch {
	case l < zapcore.InfoLevel:
		return slog.LevelDebug
	case l == zapcore.InfoLevel:
		return slog.LevelInfo
	case l == zapcore.WarnLevel:
		return slog.LevelWarn
	}
	return slog.LevelError
}

// attrs turns zap fields into attributes, in their order. A namespace opens a group for
// the fields after it.
func attrs(fields []zapcore.Field) []slog.Attr {
	out := make([]slog.Attr, 0, len(fields))
	for i, f := range fields {
		switch f.Type {
		case zapcore.SkipType:
		case zapcore.NamespaceType:
			rest := attrs(fields[i+1:])
			args := make([]any, len(rest))
			for j := range rest {
				args[j] = rest[j]
			}
			return append(out, slog.Group(f.Key, args...))
		case zapcore.StringType:
			out = append(out, slog.String(f.Key, f.String))
		default:
			enc := zapcore.NewMapObjectEncoder()
			f.AddTo(enc)
			for k, v := range enc.Fields {
				out = append(out, slog.Any(k, v))
			}
		}
	}
	return out
}
