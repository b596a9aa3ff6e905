package demo

import (
	"context"
	"math/rand/v2"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// gaugeNames are the gauges of the shop; which service sets which is decided in observe.
//
//nolint:gochecknoglobals // read-only table
var gaugeNames = []struct{ name, unit, help string }{
	{"process_resident_memory", "By", "Resident memory of the process."},
	{"node_memory_MemTotal", "By", "Memory of the machine."},
	{"go_goroutines", "", "Goroutines that exist."},
	{"process_open_fds", "", "Open file descriptors."},
	{"user_sessions_active", "", "Sessions with a request in the last 30 minutes."},
	{"http_requests_in_flight", "", "Requests being answered."},
	{"db_pool_connections_used", "", "Connections of the pool in use."},
	{"db_pool_connections_max", "", "Size of the connection pool."},
	{"mysql_up", "", "Whether the database answers."},
	{"mysql_threads_connected", "", "Open connections."},
	{"mysql_max_connections", "", "Connections that the server allows."},
	{"mysql_global_status_slow_queries_rate", "", "Slow queries a second."},
	{"pg_stat_activity_count", "", "Open connections."},
	{"pg_settings_max_connections", "", "Connections that the server allows."},
	{"pg_cache_hit_percent", "", "Share of blocks found in the buffer cache."},
	{"redis_connected_clients", "", "Open connections."},
	{"redis_memory_used", "By", "Memory used for data."},
	{"queue_depth", "", "Messages that no consumer has taken yet."},
}

// business is what the shop counts for its owners.
type business struct {
	placed  map[string]int64
	revenue map[string]float64
	failed  int64
	carted  int64
}

// reset starts counting anew.
func (b *business) reset() {
	*b = business{placed: map[string]int64{}, revenue: map[string]float64{}}
}

// health holds the random walks of a service.
type health struct{ memory float64 }

func (h *health) init(rng *rand.Rand) {
	h.memory = 60e6 + 240e6*rng.Float64()
}

// observe sets gauges and counters that no request feeds. It is called before each
// collection.
func (s *Shop) observe(ctx context.Context) {
	for _, svc := range s.svcs {
		s.observeProcess(ctx, svc)
	}
	check := s.svcs[svcCheckout]
	for currency, n := range s.state.placed {
		opt := metric.WithAttributeSet(attribute.NewSet(attribute.String("service", check.name), attribute.String("currency", currency)))
		check.inst.orders.Add(ctx, n, opt)
		check.inst.revenue.Add(ctx, s.state.revenue[currency], opt)
	}
	check.inst.ordersBad.Add(ctx, s.state.failed, check.own)
	s.svcs[svcCart].inst.cartAdds.Add(ctx, s.state.carted, s.svcs[svcCart].own)
	s.state.reset()

	set := func(svc int, name string, v float64, attrs ...attribute.KeyValue) {
		own := s.svcs[svc].own
		if len(attrs) > 0 {
			own = metric.WithAttributeSet(attribute.NewSet(append(attrs, attribute.String("service", s.svcs[svc].name))...))
		}
		s.svcs[svc].inst.gauge[name].Record(ctx, v, own)
	}
	noise := s.rng.Float64()
	threads, slowRate, used, lag := 24+10*noise, 0.02*noise, 3+3*noise, float64(s.rng.IntN(12))
	if s.faulty {
		threads, slowRate, used, lag = 134+14*noise, 12+5*noise, 19+noise, lag+40
	}
	set(svcMySQL, "mysql_up", 1)
	set(svcMySQL, "mysql_threads_connected", float64(int(threads)))
	set(svcMySQL, "mysql_max_connections", 151)
	set(svcMySQL, "mysql_global_status_slow_queries_rate", slowRate)
	s.svcs[svcMySQL].inst.slowQueries.Add(ctx, slowRate*5, s.svcs[svcMySQL].own)
	set(svcPayment, "db_pool_connections_used", float64(int(used)))
	set(svcPayment, "db_pool_connections_max", 20)
	set(svcPostgres, "pg_stat_activity_count", float64(18+s.rng.IntN(14)), attribute.String("state", "active"))
	set(svcPostgres, "pg_settings_max_connections", 100)
	set(svcPostgres, "pg_cache_hit_percent", 98.5+noise)
	set(svcRedis, "redis_connected_clients", float64(40+s.rng.IntN(20)))
	set(svcRedis, "redis_memory_used", 310e6+8e6*noise)
	set(svcKafka, "queue_depth", lag, attribute.String("topic", "orders"), attribute.String("consumergroup", "email"))
	set(svcKafka, "queue_depth", float64(s.rng.IntN(5)), attribute.String("topic", "orders"), attribute.String("consumergroup", "shipping"))
	set(svcFrontend, "user_sessions_active", 1400+float64(s.rng.IntN(150)))
}

// observeProcess sets what every process reports of itself.
func (s *Shop) observeProcess(ctx context.Context, svc *service) {
	h := &svc.gauges
	served := float64(svc.served)
	svc.served = 0
	h.memory += 2e6 * (s.rng.Float64() - 0.45)
	if h.memory > 420e6 { // a collection of the old generation
		h.memory *= 0.6
	}
	svc.inst.cpu.Add(ctx, 0.01+served*0.0011*(0.8+0.4*s.rng.Float64()), svc.own)
	record := func(name string, v float64) { svc.inst.gauge[name].Record(ctx, v, svc.own) }
	record("process_resident_memory", float64(int64(h.memory)))
	record("node_memory_MemTotal", 8<<30)
	record("process_open_fds", float64(30+s.rng.IntN(20)))
	if svc.exporter {
		return
	}
	record("http_requests_in_flight", float64(s.rng.IntN(1+int(served/20))))
	if svc.language == "go" {
		record("go_goroutines", float64(40+s.rng.IntN(30)))
		svc.inst.gc.Record(ctx, 0.0002+0.0008*s.rng.Float64(), svc.own)
	}
}
