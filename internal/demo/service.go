package demo

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// serviceDef is a row of the table of services.
type serviceDef struct {
	name, version, language string
	port                    int
	exporter                bool // reports on a system that cannot: metrics only
}

// Indices into services.
const (
	svcFrontend = iota
	svcAPI
	svcCheckout
	svcCart
	svcPayment
	svcCatalog
	svcInventory
	svcShipping
	svcEmail
	svcMySQL
	svcPostgres
	svcRedis
	svcKafka
)

// services is the shop. Its order is that of the constants above.
//
//nolint:gochecknoglobals // read-only table
var services = [...]serviceDef{
	svcFrontend:  {name: "frontend", version: "4.2.0", language: "nodejs", port: 3000},
	svcAPI:       {name: "api", version: "2.11.3", language: "go", port: 8080},
	svcCheckout:  {name: "checkout", version: "1.9.1", language: "go", port: 8081},
	svcCart:      {name: "cart", version: "1.4.0", language: "dotnet", port: 8082},
	svcPayment:   {name: "payment", version: "3.0.2", language: "java", port: 8083},
	svcCatalog:   {name: "catalog", version: "2.0.7", language: "go", port: 9090},
	svcInventory: {name: "inventory", version: "1.1.4", language: "rust", port: 9091},
	svcShipping:  {name: "shipping", version: "0.8.9", language: "python", port: 9092},
	svcEmail:     {name: "email", version: "1.0.12", language: "ruby", port: 9093},
	svcMySQL:     {name: "mysqld-exporter", version: "0.17.2", language: "go", port: 9104, exporter: true},
	svcPostgres:  {name: "postgres-exporter", version: "0.17.1", language: "go", port: 9187, exporter: true},
	svcRedis:     {name: "redis-exporter", version: "1.74.0", language: "go", port: 9121, exporter: true},
	svcKafka:     {name: "kafka-exporter", version: "1.9.0", language: "go", port: 9308, exporter: true},
}

// service is a running service: its SDKs and instruments.
type service struct {
	serviceDef
	tracer trace.Tracer
	logger log.Logger
	reader *sdkmetric.ManualReader
	labels map[opLabels]metric.MeasurementOption // attribute sets are costly to build
	own    metric.MeasurementOption              // the label service alone
	inst   instruments
	gauges health
	served int // requests since the last collection
}

// opLabels is what the metrics of an operation are labelled with.
type opLabels struct {
	class               opClass
	method, route, peer string
	status              int
}

// instruments are the metric instruments of a service.
type instruments struct {
	latency     [classConsumer + 1]metric.Float64Histogram // by class, OpenTelemetry names
	requests    metric.Int64Counter                        // Prometheus-style names of the same, for servers
	duration    metric.Float64Histogram
	traces      metric.Int64Counter
	orders      metric.Int64Counter
	ordersBad   metric.Int64Counter
	revenue     metric.Float64Counter
	cartAdds    metric.Int64Counter
	cpu         metric.Float64Counter
	gc          metric.Float64Histogram
	slowQueries metric.Float64Counter
	gauge       map[string]metric.Float64Gauge
}

func newServices(s *Shop, rng *rand.Rand) []*service {
	all := make([]*service, len(services))
	ids := &idGenerator{rng: rng}
	for i, def := range services {
		res := resource.NewSchemaless(
			attribute.String("service.name", def.name),
			attribute.String("service.namespace", "shop"),
			attribute.String("service.version", def.version),
			attribute.String("service.instance.id", fmt.Sprintf("%s-%08x", def.name, rng.Uint32())),
			attribute.String("deployment.environment.name", "demo"),
			attribute.String("deployment.environment", "demo"),
			attribute.String("host.name", fmt.Sprintf("node-%d", 1+i%3)),
			attribute.String("telemetry.sdk.name", "opentelemetry"),
			attribute.String("telemetry.sdk.language", def.language),
		)
		tp := sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithSampler(playSampler{}),
			sdktrace.WithIDGenerator(ids), sdktrace.WithSpanProcessor(s.out.spanSink()))
		lp := sdklog.NewLoggerProvider(sdklog.WithResource(res), sdklog.WithProcessor(s.out.logSink()))
		reader := sdkmetric.NewManualReader()
		mp := sdkmetric.NewMeterProvider(sdkmetric.WithResource(res), sdkmetric.WithReader(reader), sdkmetric.WithView(timedExemplars))
		svc := &service{
			serviceDef: def, reader: reader, labels: map[opLabels]metric.MeasurementOption{},
			tracer: tp.Tracer("shop/" + def.name), logger: lp.Logger("shop/" + def.name),
			own: metric.WithAttributeSet(attribute.NewSet(attribute.String("service", def.name))),
		}
		svc.inst = newInstruments(mp.Meter("shop/" + def.name))
		svc.gauges.init(rng)
		all[i] = svc
	}
	return all
}

// must drops the error of making an instrument: the names are constants, and the SDK
// returns a working instrument with the error.
func must[T any](v T, _ error) T { return v }

func newInstruments(m metric.Meter) instruments {
	seconds := func(name string, bounds ...float64) metric.Float64Histogram {
		if len(bounds) == 0 {
			bounds = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
		}
		return must(m.Float64Histogram(name, metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(bounds...)))
	}
	in := instruments{
		requests:    must(m.Int64Counter("http_requests", metric.WithDescription("Requests answered, by status."))),
		duration:    seconds("http_request_duration", 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
		traces:      must(m.Int64Counter("traces", metric.WithDescription("Traces that this service took part in."))),
		orders:      must(m.Int64Counter("orders", metric.WithDescription("Orders placed."))),
		ordersBad:   must(m.Int64Counter("orders_failed", metric.WithDescription("Orders that could not be placed."))),
		revenue:     must(m.Float64Counter("order_revenue", metric.WithDescription("Sum of the orders placed, in their currency."))),
		cartAdds:    must(m.Int64Counter("cart_additions", metric.WithDescription("Products put into carts."))),
		cpu:         must(m.Float64Counter("cpu_usage", metric.WithDescription("CPU time used, in seconds of one core."))),
		gc:          seconds("go_gc_duration", 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05),
		slowQueries: must(m.Float64Counter("mysql_global_status_slow_queries", metric.WithDescription("Queries slower than long_query_time."))),
		gauge:       map[string]metric.Float64Gauge{},
	}
	in.latency[classHTTPServer] = seconds("http.server.request.duration")
	in.latency[classHTTPClient] = seconds("http.client.request.duration")
	in.latency[classRPCServer] = seconds("rpc.server.call.duration")
	in.latency[classRPCClient] = seconds("rpc.client.call.duration")
	in.latency[classDB] = seconds("db.client.operation.duration", 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
	in.latency[classProducer] = seconds("messaging.client.operation.duration", 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1)
	in.latency[classConsumer] = seconds("messaging.process.duration", 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1)
	for _, g := range gaugeNames {
		in.gauge[g.name] = must(m.Float64Gauge(g.name, metric.WithUnit(g.unit), metric.WithDescription(g.help)))
	}
	return in
}

// measure feeds the metrics of operation n, which took d.
func (svc *service) measure(ctx context.Context, n *op, d time.Duration) {
	if n.class == classInternal {
		return
	}
	opt := svc.option(opLabels{n.class, n.method, n.route, n.peer, n.status}, n)
	svc.inst.latency[n.class].Record(ctx, d.Seconds(), opt)
	if n.class != classHTTPServer && n.class != classRPCServer {
		return
	}
	svc.served++
	svc.inst.traces.Add(ctx, 1, svc.own)
	// The same in the words of the Prometheus world, one more label set.
	opt = svc.option(opLabels{classInternal, n.method, n.route, "", plainStatus(n)}, n)
	svc.inst.requests.Add(ctx, 1, opt)
	svc.inst.duration.Record(ctx, d.Seconds(), opt)
}

// plainStatus is the HTTP status that stands for the outcome of server operation n.
func plainStatus(n *op) int {
	if n.class == classHTTPServer {
		return n.status
	}
	switch n.status {
	case grpcOK:
		return 200
	case grpcNotFound:
		return 404
	}
	return 503
}

func (svc *service) option(key opLabels, n *op) metric.MeasurementOption {
	if opt, ok := svc.labels[key]; ok {
		return opt
	}
	var a []attribute.KeyValue
	switch key.class {
	case classInternal:
		method := key.method
		if n.class == classRPCServer {
			method = "POST"
		}
		a = []attribute.KeyValue{
			attribute.String("service", svc.name), attribute.String("method", method),
			attribute.String("endpoint", key.route), attribute.Int("status", key.status),
		}
	case classHTTPServer, classHTTPClient:
		a = []attribute.KeyValue{
			attribute.String("http.request.method", key.method), attribute.String("http.route", key.route),
			attribute.Int("http.response.status_code", key.status),
		}
		if key.class == classHTTPClient {
			a = append(a, attribute.String("server.address", key.peer))
		}
	case classRPCServer, classRPCClient:
		a = []attribute.KeyValue{
			attribute.String("rpc.system", "grpc"), attribute.String("rpc.service", key.route), attribute.String("rpc.method", key.method),
			attribute.String("rpc.grpc.status_code", grpcText(key.status)),
		}
	case classDB:
		a = []attribute.KeyValue{attribute.String("db.system", key.peer), attribute.String("db.operation", n.verb)}
	case classProducer, classConsumer:
		a = []attribute.KeyValue{attribute.String("messaging.system", key.peer), attribute.String("messaging.destination.name", key.route)}
	}
	opt := metric.WithAttributeSet(attribute.NewSet(a...))
	svc.labels[key] = opt
	return opt
}

// playing is what the SDKs need to know of the request being played; it travels in the
// context.
type playing struct {
	at   time.Time // virtual time of the measurement
	keep bool      // record spans and logs
}

type playingKey struct{}

func playingOf(ctx context.Context) *playing {
	p, _ := ctx.Value(playingKey{}).(*playing)
	return p
}

// playSampler keeps the spans of the requests that the shop chose to keep.
type playSampler struct{}

func (playSampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	res := sdktrace.SamplingResult{Decision: sdktrace.Drop}
	if pl := playingOf(p.ParentContext); pl != nil && pl.keep {
		res.Decision = sdktrace.RecordAndSample
	}
	return res
}

func (playSampler) Description() string { return "demo" }

// idGenerator draws ids from the randomness of the shop.
type idGenerator struct{ rng *rand.Rand }

func (g *idGenerator) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	var t trace.TraceID
	binary.BigEndian.PutUint64(t[:8], g.rng.Uint64())
	binary.BigEndian.PutUint64(t[8:], g.rng.Uint64()|1)
	return t, g.NewSpanID(ctx, t)
}

func (g *idGenerator) NewSpanID(context.Context, trace.TraceID) trace.SpanID {
	var s trace.SpanID
	binary.BigEndian.PutUint64(s[:], g.rng.Uint64()|1)
	return s
}

// timedExemplars is a view that stamps exemplars with virtual time: the SDK knows only
// the present.
func timedExemplars(i sdkmetric.Instrument) (sdkmetric.Stream, bool) {
	return sdkmetric.Stream{
		Name: i.Name, Description: i.Description, Unit: i.Unit,
		ExemplarReservoirProviderSelector: func(agg sdkmetric.Aggregation) exemplar.ReservoirProvider {
			inner := sdkmetric.DefaultExemplarReservoirProviderSelector(agg)
			return func(attrs attribute.Set) exemplar.Reservoir { return timedReservoir{inner(attrs)} }
		},
	}, i.Kind == sdkmetric.InstrumentKindHistogram
}

type timedReservoir struct{ exemplar.Reservoir }

func (r timedReservoir) Offer(ctx context.Context, t time.Time, v exemplar.Value, attrs []attribute.KeyValue) {
	if p := playingOf(ctx); p != nil {
		t = p.at
	}
	r.Reservoir.Offer(ctx, t, v, attrs)
}
