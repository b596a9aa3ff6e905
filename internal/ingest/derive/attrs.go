package derive

import (
	"math"
	"slices"
	"strings"
	"unique"

	"github.com/pharos-o11y/pharos/internal/store/spans"
)

// Attributes of OpenTelemetry's conventions that this package knows.
const (
	serviceName      = "service.name"
	serviceNamespace = "service.namespace"
	serviceInstance  = "service.instance.id"
	peerAddress      = "network.peer.address"
	peerPort         = "network.peer.port"
)

// databaseMarks are the attributes that make a client span a call of a database.
func databaseMarks() []string {
	return []string{"db.namespace", "db.name", "db.system", "db.system.name"}
}

// databaseNames are the attributes that name a database, best first. peerAddress stands
// for address and port.
func databaseNames() []string {
	return []string{"peer.service", "server.address", peerAddress, "db.namespace", "db.name", "db.system", "db.system.name"}
}

// wanted says which attributes are looked at, so that a span's are read once.
type wanted struct {
	slot      map[string]int
	lengths   [128]bool // of the names in slot, so that most others cost no hash
	marks     []int     // slots of databaseMarks
	names     []int     // of databaseNames
	address   int       // slot of peerAddress
	port      int
	peers     []int
	spanDims  []int
	mapped    [][]int // slots of each dimension mapping
	graphDims []int
	ratio     int  // slot of the multiplier; -1 if there is none
	spans     bool // span metrics look at attributes
}

func newWanted(o *Options) *wanted {
	w := &wanted{slot: map[string]int{}, ratio: -1}
	w.marks, w.names = w.slots(databaseMarks()), w.slots(databaseNames())
	w.address, w.port = w.of(peerAddress), w.of(peerPort)
	w.peers = w.slots(o.Graph.PeerAttributes)
	w.spanDims, w.graphDims = w.slots(o.Spans.Dimensions), w.slots(o.Graph.Dimensions)
	if o.Spans.MultiplierKey != "" {
		w.ratio = w.of(o.Spans.MultiplierKey)
	}
	for _, m := range o.Spans.DimensionMappings {
		w.mapped = append(w.mapped, w.slots(m.SourceLabels))
	}
	w.spans = w.ratio >= 0 || len(w.spanDims) > 0 || len(w.mapped) > 0
	return w
}

func (w *wanted) of(name string) int {
	i, ok := w.slot[name]
	if !ok {
		i = len(w.slot)
		w.slot[name] = i
		w.lengths[min(len(name), len(w.lengths)-1)] = true
	}
	return i
}

func (w *wanted) slots(names []string) []int {
	out := make([]int, len(names))
	for i, n := range names {
		out[i] = w.of(n)
	}
	return out
}

// attrVals holds the wanted attributes of one span or resource, by slot.
type attrVals struct {
	b    *spans.Batch // that they are values of
	has  []bool
	vals []*spans.Value
}

func (v *attrVals) reset() { clear(v.has) }

// forget lets go of the memory of the request that the values belong to.
func (v *attrVals) forget() {
	v.b = nil
	clear(v.has)
	clear(v.vals)
}

// collect fills v, which is reset, from attrs.
func (w *wanted) collect(attrs []spans.Attr, v *attrVals) {
	if v.has == nil {
		v.has, v.vals = make([]bool, len(w.slot)), make([]*spans.Value, len(w.slot))
	}
	for j := range attrs {
		k := attrs[j].Key
		if !w.lengths[min(len(k), len(w.lengths)-1)] {
			continue
		}
		if i, ok := w.slot[k]; ok && !v.has[i] {
			v.has[i], v.vals[i] = true, &attrs[j].Value
		}
	}
}

// text returns the attribute in slot i, "" if it is absent.
func (v *attrVals) text(i int) string {
	if v.has == nil || !v.has[i] {
		return ""
	}
	return v.b.Text(v.vals[i])
}

// number returns the number in slot i.
func (v *attrVals) number(i int) (float64, bool) {
	if v.has == nil || !v.has[i] {
		return 0, false
	}
	switch x := v.vals[i]; x.Kind {
	case spans.Double:
		return math.Float64frombits(x.Num), true
	case spans.Int:
		return float64(int64(x.Num)), true
	default:
		return 0, false
	}
}

// first returns the first of the attributes in slots that is not empty.
func (v *attrVals) first(slots []int) string {
	for _, i := range slots {
		if s := v.text(i); s != "" {
			return s
		}
	}
	return ""
}

// any reports whether one of the attributes is present.
func (v *attrVals) any(slots []int) bool {
	return v.has != nil && slices.ContainsFunc(slots, func(i int) bool { return v.has[i] })
}

// resource is what the spans of one resource have in common.
type resource struct {
	service unique.Handle[string]
	name    string // of the service
	job     string
	inst    string
	attrs   []spans.Attr
	vals    *attrVals
	told    bool // traces_target_info was counted for this request
}

func resourceOf(attrs []spans.Attr, w *wanted, scratch *attrVals) *resource {
	scratch.reset()
	w.collect(attrs, scratch)
	text := func(name string) string {
		i := slices.IndexFunc(attrs, func(a spans.Attr) bool { return a.Key == name })
		if i < 0 {
			return ""
		}
		return scratch.b.Text(&attrs[i].Value)
	}
	r := &resource{name: text(serviceName), inst: text(serviceInstance), attrs: attrs, vals: scratch}
	r.service = unique.Make(r.name)
	r.job = r.name
	if ns := text(serviceNamespace); ns != "" && r.name != "" {
		r.job = ns + "/" + r.name
	}
	return r
}

// dimension returns the value of a dimension: the span's, or its resource's.
func dimension(span, res *attrVals, slot int) string {
	if s := span.text(slot); s != "" {
		return s
	}
	return res.text(slot)
}

// labelName returns name with every character that label names cannot have replaced.
func labelName(name string) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_':
			return r
		}
		return '_'
	}, name)
	if s != "" && '0' <= s[0] && s[0] <= '9' {
		s = "_" + s
	}
	return s
}
