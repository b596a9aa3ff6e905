package derive

import (
	"fmt"
	"testing"
	"time"
)

// TestServiceGraph goes through the situations of docs/traces.md: the edges that come
// of it, with the number of calls.
func TestServiceGraph(t *testing.T) {
	db := map[string]any{"db.system": "postgresql", "db.name": "shop"}
	tests := []struct {
		name string
		in   []spec
		want map[string]float64
	}{
		{
			"client and server",
			[]spec{{service: "a", kind: client, trace: 1, id: 2, up: 1}, {service: "b", kind: server, trace: 1, id: 3, up: 2}},
			map[string]float64{`{client="a", server="b"}`: 1},
		},
		{
			"the server comes first",
			[]spec{{service: "b", kind: server, trace: 1, id: 3, up: 2}, {service: "a", kind: client, trace: 1, id: 2, up: 1}},
			map[string]float64{`{client="a", server="b"}`: 1},
		},
		{
			"producer and consumer",
			[]spec{{service: "a", kind: producer, trace: 1, id: 2, up: 1}, {service: "b", kind: consumer, trace: 1, id: 3, up: 2}},
			map[string]float64{`{client="a", connection_type="messaging_system", server="b"}`: 1},
		},
		{
			"same service",
			[]spec{{service: "a", kind: client, trace: 1, id: 2, up: 1}, {service: "a", kind: server, trace: 1, id: 3, up: 2}},
			map[string]float64{`{client="a", server="a"}`: 1},
		},
		{
			"database, its server span ignored",
			[]spec{{service: "a", kind: client, trace: 1, id: 2, up: 1, attrs: db}, {service: "b", kind: server, trace: 1, id: 3, up: 2}},
			map[string]float64{`{client="a", connection_type="database", server="shop"}`: 1},
		},
		{
			"database named by its peer",
			[]spec{{service: "a", kind: client, trace: 1, id: 2, up: 1, attrs: map[string]any{"db.system": "x", "server.address": "db1", "peer.service": "orders-db"}}},
			map[string]float64{`{client="a", connection_type="database", server="orders-db"}`: 1},
		},
		{
			"database named by its address",
			[]spec{{service: "a", kind: client, trace: 1, id: 2, up: 1, attrs: map[string]any{"db.system.name": "x", "network.peer.address": "10.0.0.1", "network.peer.port": 5432}}},
			map[string]float64{`{client="a", connection_type="database", server="10.0.0.1:5432"}`: 1},
		},
		{
			"uninstrumented server",
			[]spec{{service: "a", kind: client, trace: 1, id: 2, up: 1, attrs: map[string]any{"peer.service": "ext"}}},
			map[string]float64{`{client="a", connection_type="virtual_node", server="ext"}`: 1},
		},
		{
			"producer without consumer",
			[]spec{{service: "a", kind: producer, trace: 1, id: 2, up: 1, attrs: map[string]any{"peer.service": "kafka"}}},
			map[string]float64{`{client="a", connection_type="virtual_node", server="kafka"}`: 1},
		},
		{"an address is no peer", []spec{{service: "a", kind: client, trace: 1, id: 2, up: 1, attrs: map[string]any{"server.address": "x", "net.peer.name": "y"}}}, nil},
		{"no peer, no server", []spec{{service: "a", kind: client, trace: 1, id: 2, up: 1}}, nil},
		{
			"root server",
			[]spec{{service: "a", kind: server, trace: 1, id: 2}},
			map[string]float64{`{client="user", connection_type="virtual_node", server="a"}`: 1},
		},
		{
			"root server that knows its caller",
			[]spec{{service: "a", kind: server, trace: 1, id: 2, attrs: map[string]any{"peer.service": "caller"}}},
			map[string]float64{`{client="caller", connection_type="virtual_node", server="a"}`: 1},
		},
		{
			"several roots share a key",
			[]spec{{service: "a", kind: server, trace: 1, id: 2}, {service: "a", kind: server, trace: 1, id: 3}},
			map[string]float64{`{client="user", connection_type="virtual_node", server="a"}`: 1},
		},
		{"parent that never comes", []spec{{service: "a", kind: server, trace: 1, id: 2, up: 7}}, nil},
		{"root without a service name", []spec{{kind: server, trace: 1, id: 2}}, nil},
		{
			"internal span in between",
			[]spec{
				{service: "a", kind: client, trace: 1, id: 2, up: 1},
				{service: "a", kind: internal, trace: 1, id: 3, up: 2},
				{service: "b", kind: server, trace: 1, id: 4, up: 3},
			},
			nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, Options{Spans: SpanOptions{Off: true}})
			r.send(tt.in...)
			r.wait(5 * time.Second)
			if early := len(r.out.last("traces_service_graph_request_total")); early > 0 && tt.want != nil {
				for k := range tt.want {
					if k == `{client="user", connection_type="virtual_node", server="a"}` {
						t.Error("a virtual node before the wait is over")
					}
				}
			}
			r.wait(5 * time.Second)
			r.want("traces_service_graph_request_total", tt.want)
			for n, tn := range r.tenants {
				if len(tn.graph.waiting) > 0 || len(tn.graph.queue) > 0 {
					t.Errorf("tenant %s: %d edges wait, %d are queued after the end", n, len(tn.graph.waiting), len(tn.graph.queue))
				}
			}
		})
	}
}

func TestServiceGraphDurations(t *testing.T) {
	r := newRig(t, Options{Spans: SpanOptions{Off: true}, Graph: GraphOptions{MessagingLatency: true, ConnectionInfo: true, VirtualNodeLabel: true, Dimensions: []string{"zone"}, Prefixes: true}})
	r.send(
		spec{service: "a", kind: client, trace: 1, id: 2, up: 1, from: 3000, resource: map[string]any{"zone": "eu"}},
		spec{service: "b", kind: server, trace: 1, id: 3, up: 2, from: 2000, failed: true, resource: map[string]any{"zone": "us"}},
		spec{service: "a", kind: client, trace: 2, id: 2, up: 1, from: 500, attrs: map[string]any{"db.system": "pg"}},
		spec{service: "p", kind: producer, trace: 3, id: 2, up: 1, from: 900, to: 800},
		spec{service: "q", kind: consumer, trace: 3, id: 3, up: 2, from: 300},
		spec{service: "c", kind: client, trace: 4, id: 2, up: 1, from: 700, attrs: map[string]any{"peer.service": "ext"}},
	)
	r.wait(10 * time.Second)
	ab := `{client="a", client_zone="eu", server="b", server_zone="us"}`
	pg := `{client="a", connection_type="database", server="pg"}`
	pq := `{client="p", connection_type="messaging_system", server="q"}`
	ext := `{client="c", connection_type="virtual_node", server="ext", virtual_node="server"}`
	r.want("traces_service_graph_request_total", map[string]float64{ab: 1, pg: 1, pq: 1, ext: 1})
	r.want("traces_service_graph_connection_info", map[string]float64{ab: 1, pg: 1, pq: 1, ext: 1})
	r.want("traces_service_graph_request_failed_total", map[string]float64{ab: 1})
	r.want("traces_service_graph_request_client_seconds_sum", map[string]float64{ab: 3, pg: 0.5, pq: 0.1, ext: 0.7})
	r.want("traces_service_graph_request_server_seconds_sum", map[string]float64{ab: 2, pg: 0.5, pq: 0.3})
	r.want("traces_service_graph_request_server_seconds_count", map[string]float64{ab: 1, pg: 1, pq: 1, ext: 1})
	r.want("traces_service_graph_request_messaging_system_seconds_sum", map[string]float64{pq: 0.5})
}

func TestWaitingEdgesAreBounded(t *testing.T) {
	r := newRig(t, Options{Spans: SpanOptions{Off: true}, Graph: GraphOptions{MaxItems: 100}})
	for i := range 200 {
		r.send(spec{service: "a", kind: client, trace: byte(i), id: 2, up: 1, attrs: map[string]any{"peer.service": "ext"}})
	}
	if n := len(r.tenants["t"].graph.waiting); n != 100 {
		t.Errorf("%d edges wait, want 100", n)
	}
	r.wait(10 * time.Second)
	r.want("traces_service_graph_request_total", map[string]float64{`{client="a", connection_type="virtual_node", server="ext"}`: 100})
}

// TestQueueIsCompacted sees to it that calls that complete at once do not pile up.
func TestQueueIsCompacted(t *testing.T) {
	r := newRig(t, Options{Spans: SpanOptions{Off: true}})
	for i := range 5000 {
		r.send(
			spec{service: fmt.Sprint("a", i%3), kind: client, trace: byte(i), id: byte(i>>8) + 2, up: 1},
			spec{service: "b", kind: server, trace: byte(i), id: 1, up: byte(i>>8) + 2},
		)
	}
	if n := len(r.tenants["t"].graph.queue); n > 1100 {
		t.Errorf("%d edges are queued, none waits", n)
	}
}
