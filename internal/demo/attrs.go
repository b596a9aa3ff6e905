package demo

import (
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
)

// gRPC status codes that the shop uses.
const (
	grpcOK               = 0
	grpcDeadlineExceeded = 4
	grpcNotFound         = 5
	grpcUnavailable      = 14
)

func grpcText(code int) string {
	switch code {
	case grpcOK:
		return "OK"
	case grpcDeadlineExceeded:
		return "DEADLINE_EXCEEDED"
	case grpcNotFound:
		return "NOT_FOUND"
	case grpcUnavailable:
		return "UNAVAILABLE"
	}
	return strconv.Itoa(code)
}

func httpText(code int) string { return strconv.Itoa(code) + " " + http.StatusText(code) }

// The attribute sets below carry both the stable semantic conventions and the older names
// that most deployed instrumentations still send.

func statusAttrs(code int) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.Int("http.response.status_code", code),
		attribute.Int("http.status_code", code),
	}
}

func (r *request) httpServerAttrs(to serviceDef, method, route, target string) []attribute.KeyValue {
	return append(make([]attribute.KeyValue, 0, 22),
		attribute.String("http.request.method", method),
		attribute.String("http.method", method),
		attribute.String("http.route", route),
		attribute.String("http.target", target),
		attribute.String("url.path", target),
		attribute.String("url.scheme", "http"),
		attribute.String("http.scheme", "http"),
		attribute.String("http.flavor", "1.1"),
		attribute.String("network.protocol.version", "1.1"),
		attribute.String("server.address", to.name),
		attribute.Int("server.port", to.port),
		attribute.String("net.host.name", to.name),
		attribute.String("client.address", r.user.ip),
		attribute.String("user_agent.original", r.user.agent),
		attribute.String("enduser.id", r.user.id),
		attribute.String("session.id", r.user.session),
	)
}

func httpClientAttrs(to serviceDef, method, route, target string) []attribute.KeyValue {
	url := "http://" + to.name + ":" + strconv.Itoa(to.port) + target
	return append(make([]attribute.KeyValue, 0, 18),
		attribute.String("http.request.method", method),
		attribute.String("http.method", method),
		attribute.String("url.full", url),
		attribute.String("http.url", url),
		attribute.String("url.template", route),
		attribute.String("server.address", to.name),
		attribute.Int("server.port", to.port),
		attribute.String("net.peer.name", to.name),
		attribute.Int("net.peer.port", to.port),
		attribute.String("peer.service", to.name),
		attribute.String("network.protocol.name", "http"),
		attribute.String("network.protocol.version", "1.1"),
		attribute.String("network.transport", "tcp"),
	)
}

func rpcAttrs(to serviceDef, service, method string, client bool) []attribute.KeyValue {
	a := append(make([]attribute.KeyValue, 0, 16),
		attribute.String("rpc.system", "grpc"),
		attribute.String("rpc.system.name", "grpc"),
		attribute.String("rpc.service", service),
		attribute.String("rpc.method", method),
		attribute.String("server.address", to.name),
		attribute.Int("server.port", to.port),
		attribute.String("network.protocol.name", "http"),
		attribute.String("network.protocol.version", "2"),
		attribute.String("network.transport", "tcp"),
		attribute.String("network.type", "ipv4"),
	)
	if client {
		return append(a, attribute.String("net.peer.name", to.name), attribute.Int("net.peer.port", to.port), attribute.String("peer.service", to.name))
	}
	return append(a, attribute.String("net.host.name", to.name))
}

// dbServer is where each database of the shop lives.
func dbServer(system string) (host string, port int, name, user string) {
	switch system {
	case "postgresql":
		return "postgres", 5432, "catalog", "shop_rw"
	case "mysql":
		return "payments-mysql", 3306, "payments", "payments"
	}
	return "redis", 6379, "0", ""
}

func dbAttrs(system, verb, table, statement string) []attribute.KeyValue {
	host, port, name, user := dbServer(system)
	return append(make([]attribute.KeyValue, 0, 20),
		attribute.String("db.system", system),
		attribute.String("db.system.name", system),
		attribute.String("db.operation", verb),
		attribute.String("db.operation.name", verb),
		attribute.String("db.statement", statement),
		attribute.String("db.query.text", statement),
		attribute.String("db.query.summary", verb+" "+table),
		attribute.String("db.name", name),
		attribute.String("db.namespace", name),
		attribute.String("db.sql.table", table),
		attribute.String("db.collection.name", table),
		attribute.String("db.user", user),
		attribute.String("server.address", host),
		attribute.Int("server.port", port),
		attribute.String("net.peer.name", host),
		attribute.String("peer.service", host),
	)
}

func messagingAttrs(topic, key, operation string, partition, offset int) []attribute.KeyValue {
	a := append(make([]attribute.KeyValue, 0, 18),
		attribute.String("messaging.system", "kafka"),
		attribute.String("messaging.destination.name", topic),
		attribute.String("messaging.destination", topic),
		attribute.String("messaging.operation", operation),
		attribute.String("messaging.operation.name", operation),
		attribute.String("messaging.operation.type", map[string]string{"publish": "send", "process": "process"}[operation]),
		attribute.String("messaging.destination.partition.id", strconv.Itoa(partition)),
		attribute.Int("messaging.kafka.partition", partition),
		attribute.Int("messaging.kafka.offset", offset),
		attribute.Int("messaging.message.body.size", 300+offset%900),
		attribute.String("server.address", "kafka"),
		attribute.Int("server.port", 9092),
		attribute.String("peer.service", "kafka"),
	)
	if key != "" {
		a = append(a, attribute.String("messaging.kafka.message.key", key))
	}
	return a
}
