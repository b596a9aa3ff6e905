package derive

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pharos-o11y/pharos/internal/store/spans"
)

// overflow is the value of span_name for the operations beyond the limit of series.
const overflow = "__cardinality_overflow__"

// OTLP's numbers of the kinds of spans that the service graph knows, and of the status of
// a failed one.
const (
	kindServer   = 2
	kindClient   = 3
	kindProducer = 4
	kindConsumer = 5

	statusError = 2
)

func kindText(kind int32) string {
	switch kind {
	case 1:
		return "SPAN_KIND_INTERNAL"
	case kindServer:
		return "SPAN_KIND_SERVER"
	case kindClient:
		return "SPAN_KIND_CLIENT"
	case kindProducer:
		return "SPAN_KIND_PRODUCER"
	case kindConsumer:
		return "SPAN_KIND_CONSUMER"
	default:
		return "SPAN_KIND_UNSPECIFIED"
	}
}

func statusText(status int32) string {
	switch status {
	case 1:
		return "STATUS_CODE_OK"
	case statusError:
		return "STATUS_CODE_ERROR"
	default:
		return "STATUS_CODE_UNSET"
	}
}

// spanDimensions returns the label of each dimension of o, then of each mapping.
func spanDimensions(o *SpanOptions) []string {
	own := []string{"service", "span_name", "span_kind", "status_code", "status_message", "job", "instance", "le"}
	names := slices.Clone(o.Dimensions)
	for _, m := range o.DimensionMappings {
		names = append(names, m.Name)
	}
	for i, d := range names {
		names[i] = labelName(d)
		if slices.Contains(own, names[i]) {
			names[i] = "__" + names[i]
		}
	}
	return names
}

// spanMetrics counts s in the metrics of its operation and returns the scratch buffer.
// The caller holds the lock of t.
func (p *Processor) spanMetrics(t *tenant, s *spans.Span, res *resource) []byte {
	o := &p.opts.Spans
	if o.TargetInfo && !res.told {
		res.told = true
		t.buf = p.targetInfo(t, res)
	}
	name := s.Name
	buf := p.spanKey(t, s, res, name)
	x := t.table.get(t.table.spans, buf, 0)
	if x == nil {
		p.metrics.overflow.Inc()
		buf = p.spanKey(t, s, res, overflow)
		if x = t.table.get(t.table.spans, buf, 1000+p.opts.MaxSeries/10); x == nil {
			return buf
		}
	}
	weight := p.weight(s, &t.vals)
	x.values[0] += weight
	x.values[1] += weight * float64(s.Size)
	x.observe(0, seconds(s), weight, s.TraceID, s.End/1e6)
	return buf
}

// weight is how many spans s stands for, itself included.
func (p *Processor) weight(s *spans.Span, vals *attrVals) float64 {
	if p.attrs.ratio >= 0 {
		if r, ok := vals.number(p.attrs.ratio); ok && r > 0 {
			return 1 / r
		}
	}
	if p.opts.Spans.TraceState {
		if r := sampledShare(s.TraceState); r > 0 {
			return 1 / r
		}
	}
	return 1
}

// sampledShare reads OpenTelemetry's sampling threshold from a trace state, "ot=th:c": the
// share of traces that were kept, 0 if it is not told. The threshold is 56 bits in hex
// without trailing zeros; traces whose random number lies below it were dropped.
func sampledShare(state string) float64 {
	for member := range strings.SplitSeq(state, ",") {
		list, ok := strings.CutPrefix(strings.TrimSpace(member), "ot=")
		if !ok {
			continue
		}
		for field := range strings.SplitSeq(list, ";") {
			hex, ok := strings.CutPrefix(field, "th:")
			if !ok || hex == "" || len(hex) > 14 {
				continue
			}
			n, err := strconv.ParseUint(hex, 16, 64)
			if err != nil {
				return 0
			}
			return 1 - float64(n<<(4*(14-len(hex))))/(1<<56)
		}
	}
	return 0
}

// seconds is the duration of s.
func seconds(s *spans.Span) float64 {
	return float64(max(0, s.End-s.Start)) / 1e9
}

// spanKey builds the key of the set of s. Under the name overflow, dimensions are left out.
func (p *Processor) spanKey(t *tenant, s *spans.Span, res *resource, name string) []byte {
	o := &p.opts.Spans
	buf := append(t.buf[:0], t.table.spans.id)
	buf = appendRec(buf, "service", res.name)
	buf = appendRec(buf, "span_name", name)
	buf = appendRec(buf, "span_kind", kindText(s.Kind))
	buf = appendRec(buf, "status_code", statusText(s.Status))
	if o.TargetInfo {
		buf = appendRec(buf, "job", res.job)
		buf = appendRec(buf, "instance", res.inst)
	}
	if name == overflow {
		return buf
	}
	if o.StatusMessage {
		buf = appendRec(buf, "status_message", s.StatusMessage)
	}
	for i, slot := range p.attrs.spanDims {
		buf = appendRec(buf, p.dims[i], dimension(&t.vals, res.vals, slot))
	}
	for i, slots := range p.attrs.mapped {
		label := p.dims[len(p.attrs.spanDims)+i]
		buf = appendRec(buf, label, joined(&t.vals, res.vals, slots, o.DimensionMappings[i].Join))
	}
	return buf
}

// joined returns the dimensions in slots that are not empty, with sep between them.
func joined(span, res *attrVals, slots []int, sep string) string {
	out := ""
	for _, slot := range slots {
		switch v := dimension(span, res, slot); {
		case out == "":
			out = v
		case v != "":
			out += sep + v
		}
	}
	return out
}

// targetInfo makes the series of resource attributes of res, and returns the scratch
// buffer.
func (p *Processor) targetInfo(t *tenant, res *resource) []byte {
	buf := append(t.buf[:0], t.table.target.id)
	buf = appendRec(buf, "job", res.job)
	buf = appendRec(buf, "instance", res.inst)
	if res.job == "" {
		return buf
	}
	attrs := slices.Clone(res.attrs)
	slices.SortStableFunc(attrs, func(a, b spans.Attr) int { return strings.Compare(a.Key, b.Key) })
	seen := map[string]bool{"job": true, "instance": true}
	for i := range attrs {
		k := attrs[i].Key
		label := labelName(k)
		if k == serviceName || k == serviceNamespace || k == serviceInstance || label == "" || seen[label] {
			continue
		}
		seen[label] = true
		buf = appendRec(buf, label, res.vals.b.Text(&attrs[i].Value))
	}
	if x := t.table.get(t.table.target, buf, 0); x != nil {
		x.values[0] = 1
	}
	return buf
}
