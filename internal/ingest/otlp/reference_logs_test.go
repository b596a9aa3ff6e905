package otlp

import (
	"encoding/hex"
	"slices"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/pharos-o11y/pharos/internal/ingest/logrules"
	"github.com/pharos-o11y/pharos/internal/model"
)

// refLogs feeds every record of ld to b: resource attributes of Loki's default list
// are its stream labels, everything else is structured metadata, entry before resource
// before scope. ld must not change until the batch is written.
func refLogs(b *logrules.Builder, ld plog.Logs) {
	for _, rl := range ld.ResourceLogs().All() {
		var labels model.Labels
		for k, v := range rl.Resource().Attributes().All() {
			if text := v.AsString(); b.Rules().Attribute(logrules.InResource, k) == logrules.AsLabel && text != "" {
				labels = append(labels, model.Label{Name: streamLabel(k), Value: text})
			}
		}
		stream, err := b.Rules().NewStream(labels)
		if err != nil {
			n := 0
			for _, sl := range rl.ScopeLogs().All() {
				n += sl.LogRecords().Len()
			}
			b.RefuseStream(n, err)
			continue
		}
		b.Stream(stream)
		last := stream.Labels
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				if b.Rules() != nil && b.Rules().SeverityLabel {
					own, err := b.Rules().NewStream(append(slices.Clone(labels), model.Label{Name: "severity_text", Value: lr.SeverityText()}))
					if err != nil {
						b.RefuseStream(1, err)
						continue
					}
					if own.Labels.Compare(last) != 0 {
						b.Stream(own)
						last = own.Labels
					}
					lr.SetSeverityText("")
				}
				refRecord(b, rl.Resource(), sl.Scope(), lr)
			}
		}
	}
}

func refRecord(b *logrules.Builder, res pcommon.Resource, scope pcommon.InstrumentationScope, lr plog.LogRecord) {
	ts, observed := int64(lr.Timestamp()), int64(lr.ObservedTimestamp())
	if ts != 0 && observed != 0 {
		b.Meta("observed_timestamp", strconv.FormatInt(observed, 10))
	}
	switch {
	case ts != 0:
	case observed != 0:
		ts = observed
	default:
		ts = b.Now()
	}
	if n := lr.SeverityNumber(); n != plog.SeverityNumberUnspecified {
		b.Meta("severity_number", strconv.Itoa(int(n)))
	}
	b.Meta("severity_text", lr.SeverityText())
	if id := lr.TraceID(); !id.IsEmpty() {
		b.Meta("trace_id", hex.EncodeToString(id[:]))
	}
	if id := lr.SpanID(); !id.IsEmpty() {
		b.Meta("span_id", hex.EncodeToString(id[:]))
	}
	if f := lr.Flags(); f != 0 {
		b.Meta("flags", strconv.FormatUint(uint64(f), 10))
	}
	if n := lr.DroppedAttributesCount(); n != 0 {
		b.Meta("dropped_attributes_count", strconv.FormatUint(uint64(n), 10))
	}
	b.Meta("event_name", lr.EventName())
	for k, v := range lr.Attributes().All() {
		refLogAttr(b, k, v)
	}
	for k, v := range res.Attributes().All() {
		if b.Rules().Attribute(logrules.InResource, k) == logrules.AsMetadata {
			refLogAttr(b, k, v)
		}
	}
	b.Meta("scope_name", scope.Name())
	b.Meta("scope_version", scope.Version())
	for k, v := range scope.Attributes().All() {
		refLogAttr(b, k, v)
	}
	if n := scope.DroppedAttributesCount(); n != 0 {
		b.Meta("scope_dropped_attributes_count", strconv.FormatUint(uint64(n), 10))
	}
	b.Entry(ts, lr.Body().AsString())
}

// refLogAttr adds an attribute as structured metadata; maps are flattened, joined by _.
func refLogAttr(b *logrules.Builder, name string, v pcommon.Value) {
	if v.Type() != pcommon.ValueTypeMap {
		b.Meta(name, v.AsString())
		return
	}
	for k, inner := range v.Map().All() {
		refLogAttr(b, name+"_"+k, inner)
	}
}
