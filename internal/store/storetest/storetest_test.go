package storetest

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestReferenceMetrics(t *testing.T) {
	RunMetrics(t, func(*testing.T) Subject[MetricStore] { return Subject[MetricStore]{Store: NewMetrics()} })
}

func TestReferenceLogs(t *testing.T) {
	RunLogs(t, func(*testing.T) Subject[LogStore] { return Subject[LogStore]{Store: NewLogs()} })
}

func TestReferenceTraces(t *testing.T) {
	RunTraces(t, func(*testing.T) Subject[TraceStore] { return Subject[TraceStore]{Store: NewTraces()} })
}
