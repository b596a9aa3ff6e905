package derive

import (
	"net"
	"unique"

	"github.com/pharos-o11y/pharos/internal/store/spans"
)

// Values of the label connection_type; a plain call has none.
const (
	messaging = "messaging_system"
	database  = "database"
	virtual   = "virtual_node"
)

// edgeKey is what the two spans of a call have in common: the trace, and the id of the
// calling span.
type edgeKey struct {
	trace [16]byte
	span  [8]byte
}

// side is one of the two spans of a call.
type side struct {
	known   bool
	service unique.Handle[string]
	seconds float64
	dims    []string
}

// edge is a call of which one side is known.
type edge struct {
	client, server side
	messaging      bool
	failed         bool
	root           bool   // the server has no parent
	peer           string // what the known side says of the other
	sent, received int64  // Unix ns: end of the producer, start of the consumer
	at             int64  // Unix ms: end of the last span
	deadline       int64  // Unix ns
}

// graph pairs spans of a tenant to calls. Its owner locks it.
type graph struct {
	opts    *GraphOptions
	table   *table
	attrs   *wanted
	metrics *metrics
	waiting map[edgeKey]*edge
	queue   []queued // in order of deadline; may hold edges that are complete
	dims    []string // labels of the dimensions
	plain   *family
	queues  *family // of calls through a messaging system
	buf     []byte
}

type queued struct {
	key      edgeKey
	deadline int64
}

func newGraph(o *Options, t *table, attrs *wanted, m *metrics) *graph {
	g := &graph{opts: &o.Graph, table: t, attrs: attrs, metrics: m, waiting: map[edgeKey]*edge{}}
	g.plain, g.queues = g.family('g'), g.family('m')
	if o.Graph.MessagingLatency {
		g.queues.histogram("traces_service_graph_request_messaging_system_seconds", "Time from the end of the producer's span to the start of the consumer's.")
	}
	if !o.Graph.Off {
		t.fams = append(t.fams, g.queues)
	}
	for _, d := range o.Graph.Dimensions {
		g.dims = append(g.dims, labelName(d))
	}
	return g
}

func (g *graph) family(id byte) *family {
	f := newFamily(id, g.opts.Histograms, g.opts.Buckets).
		counter("traces_service_graph_request_total", "Calls from one service to another.").
		counter("traces_service_graph_request_failed_total", "Calls of which one side failed.").
		histogram("traces_service_graph_request_server_seconds", "Duration of calls as the server has it.").
		histogram("traces_service_graph_request_client_seconds", "Duration of calls as the client has it.")
	if g.opts.ConnectionInfo {
		f.gauge("traces_service_graph_connection_info", "1 for each edge of the service graph.")
	}
	return f
}

// span looks at a span of kind server or above.
func (g *graph) span(s *spans.Span, res *resource, vals *attrVals, now int64) {
	switch s.Kind {
	case kindClient:
		if vals.any(g.attrs.marks) {
			g.database(s, res, vals)
			return
		}
		g.half(s, res, vals, now, edgeKey{s.TraceID, s.SpanID}, false)
	case kindProducer:
		g.half(s, res, vals, now, edgeKey{s.TraceID, s.SpanID}, false)
	case kindServer, kindConsumer:
		g.half(s, res, vals, now, edgeKey{s.TraceID, s.Parent}, true)
	default:
	}
}

// database counts the call of a database, which has no spans of its own.
func (g *graph) database(s *spans.Span, res *resource, vals *attrVals) {
	name := ""
	for _, i := range g.attrs.names {
		if name = vals.text(i); name != "" {
			if port := vals.text(g.attrs.port); i == g.attrs.address && port != "" {
				name = net.JoinHostPort(name, port)
			}
			break
		}
	}
	e := edge{failed: s.Status == statusError, at: s.End / 1e6}
	e.client = g.side(s, res, vals)
	e.server = side{seconds: e.client.seconds}
	g.count(s.TraceID, &e, res.name, name, database, "")
}

func (g *graph) side(s *spans.Span, res *resource, vals *attrVals) side {
	x := side{known: true, service: res.service, seconds: seconds(s)}
	for _, slot := range g.attrs.graphDims {
		x.dims = append(x.dims, clip(dimension(vals, res.vals, slot)))
	}
	return x
}

// half adds one side of the call key, and counts the call if the other is known.
func (g *graph) half(s *spans.Span, res *resource, vals *attrVals, now int64, key edgeKey, server bool) {
	e, ok := g.waiting[key]
	if !ok {
		if len(g.waiting) >= g.opts.MaxItems {
			g.metrics.dropped.Inc()
			return
		}
		e = &edge{deadline: now + int64(g.opts.Wait)}
		g.waiting[key] = e
		g.enqueue(queued{key, e.deadline})
	}
	own := &e.client
	if server {
		own = &e.server
		e.root = s.Parent.IsZero()
		e.received = s.Start
	} else {
		e.sent = s.End
	}
	*own = g.side(s, res, vals)
	e.at = max(e.at, s.End/1e6)
	e.failed = e.failed || s.Status == statusError
	e.messaging = e.messaging || s.Kind == kindProducer || s.Kind == kindConsumer
	if !e.client.known || !e.server.known {
		e.peer = clone(vals.first(g.attrs.peers))
		return
	}
	delete(g.waiting, key)
	kind := ""
	if e.messaging {
		kind = messaging
	}
	g.count(key.trace, e, e.client.service.Value(), e.server.service.Value(), kind, "")
}

func clone(s string) string { return string(append([]byte(nil), clip(s)...)) }

// enqueue appends q; when most of the queue is complete calls, those are left out.
func (g *graph) enqueue(q queued) {
	if len(g.queue) > 1024 && len(g.queue) > 2*len(g.waiting) {
		kept := g.queue[:0]
		for _, x := range g.queue {
			if e := g.waiting[x.key]; e != nil && e.deadline == x.deadline {
				kept = append(kept, x)
			}
		}
		g.queue = kept
	}
	g.queue = append(g.queue, q)
}

// expire ends the wait of calls whose time has come.
func (g *graph) expire(now int64) {
	n := 0
	for ; n < len(g.queue) && g.queue[n].deadline <= now; n++ {
		q := g.queue[n]
		e := g.waiting[q.key]
		if e == nil || e.deadline != q.deadline {
			continue
		}
		delete(g.waiting, q.key)
		switch {
		case e.client.known && e.peer != "":
			g.count(q.key.trace, e, e.client.service.Value(), e.peer, virtual, "server")
		case e.server.known && e.root && e.peer != "":
			g.count(q.key.trace, e, e.peer, e.server.service.Value(), virtual, "client")
		case e.server.known && e.root:
			g.count(q.key.trace, e, "user", e.server.service.Value(), virtual, "client")
		default:
			g.metrics.expired.Inc()
		}
	}
	if n > 0 {
		g.queue = append(g.queue[:0], g.queue[n:]...)
	}
}

// count counts the call e. A call of which one name is missing is not told.
func (g *graph) count(trace [16]byte, e *edge, client, server, kind, node string) {
	if client == "" || server == "" {
		g.metrics.expired.Inc()
		return
	}
	f := g.plain
	if kind == messaging {
		f = g.queues
	}
	g.buf = append(g.buf[:0], f.id)
	g.buf = appendRec(g.buf, "client", client)
	g.buf = appendRec(g.buf, "server", server)
	g.buf = appendRec(g.buf, "connection_type", kind)
	if g.opts.VirtualNodeLabel {
		g.buf = appendRec(g.buf, "virtual_node", node)
	}
	for i, label := range g.dims {
		c, s := e.client.dim(i), e.server.dim(i)
		switch {
		case g.opts.Prefixes:
			g.buf = appendRec(g.buf, "client_"+label, c)
			g.buf = appendRec(g.buf, "server_"+label, s)
		case s != "":
			g.buf = appendRec(g.buf, label, s)
		default:
			g.buf = appendRec(g.buf, label, c)
		}
	}
	x := g.table.get(f, g.buf, 0)
	if x == nil {
		g.metrics.dropped.Inc()
		return
	}
	x.values[0]++
	if e.failed {
		x.values[1]++
	}
	if g.opts.ConnectionInfo {
		x.values[2] = 1
	}
	x.observe(0, e.server.seconds, 1, trace, e.at)
	x.observe(1, e.client.seconds, 1, trace, e.at)
	if len(x.hists) > 2 {
		x.observe(2, float64(max(0, e.received-e.sent))/1e9, 1, trace, e.at)
	}
}

func (x *side) dim(i int) string {
	if x.dims == nil {
		return ""
	}
	return x.dims[i]
}
