package prom

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	lang "github.com/pharos-o11y/pharos/internal/promql"
	"github.com/pharos-o11y/pharos/internal/query"
)

// response is the success envelope. Exactly one of value, labelSets and data is the
// payload. Query values and label sets are written without reflection, since they can
// be large; everything else goes through encoding/json.
type response struct {
	value     parser.Value
	limit     int  // series of value to write, 0 for all
	envelope  bool // add the number of series and their envelope to a matrix
	labelSets []model.Labels
	data      any

	warnings []string
	infos    []string
	stats    *query.Stats
	cached   int // steps that the results cache had
}

// flushAt is the size at which a growing response is sent on.
const flushAt = 1 << 16

func (resp *response) write(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	b := append([]byte(nil), `{"status":"success","data":`...)
	var err error
	switch {
	case resp.value != nil:
		b, err = resp.writeValue(w, b)
	case resp.labelSets != nil:
		b, err = writeList(w, b, len(resp.labelSets), func(b []byte, i int) []byte { return appendLabelSet(b, resp.labelSets[i]) })
	case resp.data != nil:
		var body []byte
		body, err = json.Marshal(resp.data)
		b = append(b, body...)
	default:
		b = append(b, "[]"...)
	}
	if err != nil {
		return err
	}
	b = appendStrings(b, "warnings", resp.warnings)
	b = appendStrings(b, "infos", resp.infos)
	b = append(b, "}\n"...)
	_, err = w.Write(b)
	return err
}

func appendStrings(b []byte, name string, list []string) []byte {
	if len(list) == 0 {
		return b
	}
	b = fmt.Appendf(b, ",%q:[", name)
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// writeList writes n elements as a JSON array, sending full buffers on the way.
func writeList(w http.ResponseWriter, b []byte, n int, elem func(b []byte, i int) []byte) ([]byte, error) {
	b = append(b, '[')
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = elem(b, i)
		if len(b) < flushAt {
			continue
		}
		if _, err := w.Write(b); err != nil {
			return nil, err
		}
		b = b[:0]
	}
	return append(b, ']'), nil
}

// cutTo returns how many of n series to write.
func (resp *response) cutTo(n int) int {
	if resp.limit > 0 && n > resp.limit {
		resp.warnings = append(resp.warnings, "results truncated due to limit")
		return resp.limit
	}
	return n
}

func (resp *response) writeValue(w http.ResponseWriter, b []byte) ([]byte, error) {
	b = fmt.Appendf(b, `{"resultType":%q,"result":`, resp.value.Type())
	var err error
	switch v := resp.value.(type) {
	case promql.Matrix:
		var times timeTexts
		b, err = writeList(w, b, resp.cutTo(len(v)), func(b []byte, i int) []byte { return appendSeries(b, v[i], &times) })
		if err == nil && resp.envelope {
			b = appendEnvelope(b, v)
		}
	case promql.Vector:
		b, err = writeList(w, b, resp.cutTo(len(v)), func(b []byte, i int) []byte { return appendSample(b, v[i]) })
	case promql.Scalar:
		b = appendPoint(b, v.T, v.V)
	case promql.String:
		b = append(b, '[')
		b = appendTime(b, v.T)
		b = append(b, ',')
		b = appendString(b, v.V)
		b = append(b, ']')
	default:
		return nil, fmt.Errorf("encode query result: unknown type %T", v)
	}
	if err != nil {
		return nil, err
	}
	if st := resp.stats; st != nil {
		b = fmt.Appendf(b, `,"stats":{"timings":{"evalTotalTime":%g,"execQueueTime":%g,"execTotalTime":%g},"samples":{"totalQueryableSamples":%d,"peakSamples":%d},"pharos":{"bytesRead":%d,"rowsScanned":%d,"blocksRead":%d,"blocksSkipped":%d,"peakMemory":%d,"cachedSteps":%d}}`,
			st.Run.Seconds(), st.Queued.Seconds(), (st.Run + st.Queued).Seconds(), st.RowsScanned, st.PeakMemory/sampleBytes,
			st.BytesRead, st.RowsScanned, st.BlocksRead, st.BlocksSkipped, st.PeakMemory, resp.cached)
	}
	return append(b, '}'), nil
}

// sampleBytes is what Prometheus holds for a sample, a time and a value: our memory is told
// in its unit, too.
const sampleBytes = 16

// appendEnvelope writes how many series m has and the envelope of all of them, whatever
// limit left out: what a chart draws where there are too many lines.
func appendEnvelope(b []byte, m promql.Matrix) []byte {
	e := lang.NewEnvelope(m)
	b = fmt.Appendf(b, `,"total_series":%d,"envelope":{`, len(m))
	for i, line := range []struct {
		name   string
		points []promql.FPoint
	}{{"min", e.Min}, {"median", e.Median}, {"max", e.Max}} {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, "%q:[", line.name)
		for k, p := range line.points {
			if k > 0 {
				b = append(b, ',')
			}
			b = appendPoint(b, p.T, p.F)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// timeTexts keeps the text of the times of a series, since the next one has the same.
type timeTexts struct {
	at   []int64
	text [][]byte // "[1700000000," and so on
}

// append writes the beginning of point i, a guess, at time ms.
func (t *timeTexts) append(b []byte, i int, ms int64) []byte {
	if i < len(t.at) && t.at[i] == ms {
		return append(b, t.text[i]...)
	}
	n := len(b)
	b = append(b, '[')
	b = appendTime(b, ms)
	b = append(b, `,"`...)
	if i == len(t.at) {
		t.at = append(t.at, ms)
		t.text = append(t.text, append([]byte(nil), b[n:]...))
	}
	return b
}

func appendSeries(b []byte, s promql.Series, times *timeTexts) []byte {
	b = append(b, `{"metric":`...)
	b = appendLabels(b, s.Metric)
	if len(s.Floats) > 0 {
		b = append(b, `,"values":[`...)
		for i, p := range s.Floats {
			if i > 0 {
				b = append(b, ',')
			}
			b = times.append(b, i, p.T)
			b = appendValue(b, p.F)
			b = append(b, `"]`...)
		}
		b = append(b, ']')
	}
	if len(s.Histograms) > 0 {
		b = append(b, `,"histograms":[`...)
		for i, p := range s.Histograms {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendHistogramPoint(b, p.T, p.H)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func appendSample(b []byte, s promql.Sample) []byte {
	b = append(b, `{"metric":`...)
	b = appendLabels(b, s.Metric)
	if s.H == nil {
		b = append(b, `,"value":`...)
		b = appendPoint(b, s.T, s.F)
	} else {
		b = append(b, `,"histogram":`...)
		b = appendHistogramPoint(b, s.T, s.H)
	}
	return append(b, '}')
}

func appendPoint(b []byte, t int64, v float64) []byte {
	b = append(b, '[')
	b = appendTime(b, t)
	b = append(b, `,"`...)
	b = appendValue(b, v)
	return append(b, `"]`...)
}

// appendTime writes milliseconds as seconds with as few decimals as needed.
func appendTime(b []byte, ms int64) []byte {
	if ms < 0 {
		b = append(b, '-')
		ms = -ms
	}
	b = strconv.AppendInt(b, ms/1000, 10)
	if frac := ms % 1000; frac != 0 {
		b = append(b, '.', byte('0'+frac/100), byte('0'+frac/10%10), byte('0'+frac%10))
	}
	return b
}

// appendValue writes v as Prometheus does: no exponent between 1e-6 and 1e21.
func appendValue(b []byte, v float64) []byte {
	if b, ok := appendShort(b, v); ok {
		return b
	}
	format := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(b, v, format, -1, 64)
}

// appendShort writes v if it is a decimal number of at most 15 digits, three of them behind
// the point: then the digits are the only ones that short which mean v, and found without
// the general algorithm.
func appendShort(b []byte, v float64) ([]byte, bool) {
	scaled := v * 1000
	if !(scaled > -1e15 && scaled < 1e15) {
		return b, false
	}
	n := int64(math.Round(scaled))
	if float64(n)/1000 != v || n == 0 { // zero has a sign
		return b, false
	}
	return api.AppendThousandths(b, n), true
}

func appendQuotedValue(b []byte, v float64) []byte {
	b = append(b, '"')
	b = appendValue(b, v)
	return append(b, '"')
}

func appendHistogramPoint(b []byte, t int64, h *histogram.FloatHistogram) []byte {
	b = append(b, '[')
	b = appendTime(b, t)
	b = append(b, `,{"count":`...)
	b = appendQuotedValue(b, h.Count)
	b = append(b, `,"sum":`...)
	b = appendQuotedValue(b, h.Sum)
	first := true
	for it := h.AllBucketIterator(); it.Next(); {
		bucket := it.At()
		if bucket.Count == 0 {
			continue
		}
		if first {
			b = append(b, `,"buckets":[`...)
		} else {
			b = append(b, ',')
		}
		first = false
		b = append(b, '[', '0'+boundaries(bucket), ',')
		b = appendQuotedValue(b, bucket.Lower)
		b = append(b, ',')
		b = appendQuotedValue(b, bucket.Upper)
		b = append(b, ',')
		b = appendQuotedValue(b, bucket.Count)
		b = append(b, ']')
	}
	if !first {
		b = append(b, ']')
	}
	return append(b, "}]"...)
}

// boundaries encodes which ends of a bucket are inclusive: 0 upper, 1 lower, 2 none,
// 3 both.
func boundaries(bucket histogram.Bucket[float64]) byte {
	switch {
	case bucket.LowerInclusive && bucket.UpperInclusive:
		return 3
	case bucket.LowerInclusive:
		return 1
	case bucket.UpperInclusive:
		return 0
	default:
		return 2
	}
}

func appendLabels(b []byte, ls labels.Labels) []byte {
	b = append(b, '{')
	first := true
	ls.Range(func(l labels.Label) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendString(b, l.Name)
		b = append(b, ':')
		b = appendString(b, l.Value)
	})
	return append(b, '}')
}

func appendLabelSet(b []byte, ls model.Labels) []byte {
	b = append(b, '{')
	for i, l := range ls {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, l.Name)
		b = append(b, ':')
		b = appendString(b, l.Value)
	}
	return append(b, '}')
}

// appendString writes s as a JSON string; the usual label value needs no escape.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x7f {
			quoted, err := json.Marshal(s)
			if err != nil {
				model.Bug("marshal string: %v", err)
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func writeErrorBody(w http.ResponseWriter, code int, kind, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	b := append([]byte(nil), `{"status":"error","errorType":`...)
	b = appendString(b, kind)
	b = append(b, `,"error":`...)
	b = appendString(b, text)
	b = append(b, "}\n"...)
	_, _ = w.Write(b) // the client is gone if it fails
}
