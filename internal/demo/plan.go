package demo

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"
)

// op is one operation of one service: what becomes a span. Times are relative to the
// start of the request.
type op struct {
	svc      int // index into services
	kind     trace.SpanKind
	class    opClass
	name     string
	start    time.Duration
	end      time.Duration
	attrs    []attribute.KeyValue
	failed   string // status message of an error; empty means unset status
	events   []event
	logs     []logLine
	kids     []*op
	link     *op  // the producer whose message this consumer handles
	detached bool // starts a trace of its own, tied to the other by link

	// What the metrics of this operation are labelled with.
	method, route string
	status        int
	peer          string // database or queue system, or callee
	verb          string // db operation
}

// opClass says which metrics an operation feeds.
type opClass uint8

const (
	classInternal opClass = iota
	classHTTPServer
	classHTTPClient
	classRPCServer
	classRPCClient
	classDB
	classProducer
	classConsumer
)

type event struct {
	at    time.Duration
	name  string
	attrs []attribute.KeyValue
}

// logLine is a log record of an operation. A file line goes through the log file of the
// service (Loki push) instead of OTLP.
type logLine struct {
	at    time.Duration
	level log.Severity
	body  string
	attrs []attribute.KeyValue
	json  bool // the body is a JSON object of the message and attrs
	file  bool
}

// request is a request being planned. Its clock moves as operations are added.
type request struct {
	shop *Shop
	root *op
	more []*op // detached operations of the queue, after the answer
	now  time.Duration
	user user
	slow bool // a database was slow
}

// user is who sends the request.
type user struct {
	id, session, agent, ip, currency string
}

// wait moves the clock by about d: log-normal, long tail to the right.
func (r *request) wait(d time.Duration) {
	r.now += r.shop.about(d)
}

// open adds an operation below parent at the present time.
func (r *request) open(parent *op, o op) *op {
	n := &o
	n.start = r.now
	if parent != nil {
		parent.kids = append(parent.kids, n)
	}
	return n
}

// close ends n at the present time.
func (r *request) close(n *op) { n.end = r.now }

func (r *request) log(n *op, level log.Severity, body string, attrs ...attribute.KeyValue) {
	n.logs = append(n.logs, logLine{at: r.now, level: level, body: body, attrs: attrs})
}

func (r *request) logJSON(n *op, level log.Severity, body string, attrs ...attribute.KeyValue) {
	n.logs = append(n.logs, logLine{at: r.now, level: level, body: body, attrs: attrs, json: true})
}

func (r *request) logFile(n *op, level log.Severity, body string, attrs ...attribute.KeyValue) {
	n.logs = append(n.logs, logLine{at: r.now, level: level, body: body, attrs: attrs, json: true, file: true})
}

// fail marks n as failed and records the exception as instrumentations do.
func (r *request) fail(n *op, kind, message, stack string) {
	n.failed = message
	n.events = append(n.events, event{at: r.now, name: "exception", attrs: []attribute.KeyValue{
		attribute.String("exception.type", kind),
		attribute.String("exception.message", message),
		attribute.String("exception.stacktrace", kind+": "+message+"\n"+stack),
		attribute.Bool("exception.escaped", false),
	}})
	n.attrs = append(n.attrs, attribute.String("error.type", kind))
}

// http plans a call of callee over HTTP and what callee does to answer it; body returns
// the status.
func (r *request) http(from *op, callee int, method, route, target string, body func(*op) int) int {
	to := services[callee]
	c := r.open(from, op{svc: from.svc, kind: trace.SpanKindClient, class: classHTTPClient, name: method, method: method, route: route, peer: to.name})
	c.attrs = httpClientAttrs(to, method, route, target)
	r.wait(400 * time.Microsecond)
	s := r.httpServer(c, callee, method, route, target, body)
	r.wait(300 * time.Microsecond)
	c.status = s.status
	c.attrs = append(c.attrs, statusAttrs(s.status)...)
	if s.status >= 400 {
		c.failed = httpText(s.status)
		c.attrs = append(c.attrs, attribute.String("error.type", httpText(s.status)))
	}
	r.close(c)
	return s.status
}

// httpServer plans the receiving half of an HTTP call.
func (r *request) httpServer(from *op, callee int, method, route, target string, body func(*op) int) *op {
	s := r.open(from, op{svc: callee, kind: trace.SpanKindServer, class: classHTTPServer, name: method + " " + route, method: method, route: route})
	s.attrs = r.httpServerAttrs(services[callee], method, route, target)
	r.wait(time.Millisecond)
	s.status = body(s)
	s.attrs = append(s.attrs, statusAttrs(s.status)...)
	if s.status >= 500 && s.failed == "" {
		s.failed = httpText(s.status)
		s.attrs = append(s.attrs, attribute.String("error.type", httpText(s.status)))
	}
	r.close(s)
	return s
}

// rpc plans a gRPC call; body returns the gRPC status code.
func (r *request) rpc(from *op, callee int, service, method string, body func(*op) int) int {
	to := services[callee]
	name := service + "/" + method
	c := r.open(from, op{svc: from.svc, kind: trace.SpanKindClient, class: classRPCClient, name: name, method: method, route: service, peer: to.name})
	c.attrs = rpcAttrs(to, service, method, true)
	r.wait(300 * time.Microsecond)
	s := r.open(c, op{svc: callee, kind: trace.SpanKindServer, class: classRPCServer, name: name, method: method, route: service})
	s.attrs = rpcAttrs(to, service, method, false)
	r.wait(500 * time.Microsecond)
	s.status = body(s)
	if s.status != grpcOK && s.failed == "" {
		s.failed = grpcText(s.status)
	}
	s.attrs = append(s.attrs, attribute.Int("rpc.grpc.status_code", s.status))
	r.close(s)
	r.wait(200 * time.Microsecond)
	c.status = s.status
	c.attrs = append(c.attrs, attribute.Int("rpc.grpc.status_code", s.status))
	if s.status != grpcOK {
		c.failed = grpcText(s.status)
		c.attrs = append(c.attrs, attribute.String("error.type", grpcText(s.status)))
	}
	r.close(c)
	return s.status
}

// db plans a statement that takes about d.
func (r *request) db(from *op, system, verb, table, statement string, d time.Duration) *op {
	n := r.open(from, op{svc: from.svc, kind: trace.SpanKindClient, class: classDB, name: verb + " " + table, peer: system, verb: verb})
	n.attrs = dbAttrs(system, verb, table, statement)
	if system != "redis" && r.shop.rng.Float64() < 0.0025 { // a checkpoint, a lock, a cold page
		d += 900*time.Millisecond + r.shop.about(600*time.Millisecond)
		r.slow = true
	}
	r.wait(d)
	rows := 1 + r.shop.rng.IntN(20)
	n.attrs = append(n.attrs, attribute.Int("db.response.returned_rows", rows))
	if took := r.now - n.start; took > 500*time.Millisecond {
		n.events = append(n.events, event{at: r.now, name: "slow_query", attrs: []attribute.KeyValue{attribute.Int64("db.duration_ms", took.Milliseconds())}})
		r.log(n, log.SeverityWarn, "slow query: "+statement, attribute.String("db.system", system), attribute.Int64("duration_ms", took.Milliseconds()))
	}
	r.close(n)
	return n
}

// produce plans sending one message to a queue.
func (r *request) produce(from *op, topic, key string) *op {
	n := r.open(from, op{svc: from.svc, kind: trace.SpanKindProducer, class: classProducer, name: "publish " + topic, peer: "kafka", route: topic})
	n.attrs = messagingAttrs(topic, key, "publish", r.shop.rng.IntN(6), r.shop.rng.IntN(1<<20))
	r.wait(3 * time.Millisecond)
	r.close(n)
	return n
}

// consume plans the handling of the message sent by p, after it has waited in the queue.
// The consumer continues the trace of the producer, or starts one that links to it.
func (r *request) consume(p *op, svc int, topic string, detached bool, body func(*op)) {
	r.now = p.end + r.shop.about(120*time.Millisecond)
	n := &op{svc: svc, kind: trace.SpanKindConsumer, class: classConsumer, name: "process " + topic, start: r.now, peer: "kafka", route: topic, link: p, detached: detached}
	n.attrs = messagingAttrs(topic, "", "process", r.shop.rng.IntN(6), r.shop.rng.IntN(1<<20))
	n.attrs = append(n.attrs, attribute.String("messaging.consumer.group.name", services[svc].name), attribute.String("messaging.kafka.consumer.group", services[svc].name))
	body(n)
	r.close(n)
	if detached {
		r.more = append(r.more, n)
	} else {
		p.kids = append(p.kids, n)
	}
}

// step plans work inside a service.
func (r *request) step(from *op, name string, d time.Duration, attrs ...attribute.KeyValue) *op {
	n := r.open(from, op{svc: from.svc, kind: trace.SpanKindInternal, name: name, attrs: attrs})
	r.wait(d)
	r.close(n)
	return n
}

// extent is when the last operation at or below n ends.
func (n *op) extent() time.Duration {
	last := n.end
	for _, k := range n.kids {
		last = max(last, k.extent())
	}
	return last
}

// notable reports whether any operation at or below n failed.
func (n *op) notable() bool {
	if n.failed != "" {
		return true
	}
	for _, k := range n.kids {
		if k.notable() {
			return true
		}
	}
	return false
}
