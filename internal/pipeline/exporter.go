package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// exporterName is the type of our exporter in configurations.
const exporterName = "pharos"

// headerTenant is the request header, and client metadata key, that names the tenant.
const headerTenant = "X-Scope-OrgID"

// exporterConfig is what a configuration may say about the exporter pharos.
type exporterConfig struct {
	// Tenant gets the data that names no tenant of its own: scraped metrics, say.
	Tenant string `mapstructure:"tenant"`
}

// Validate implements the Collector's validation.
func (c *exporterConfig) Validate() error {
	if c.Tenant == "" {
		return nil
	}
	_, err := model.ParseTenant(c.Tenant)
	return err
}

// exporterFactory returns the factory of the exporter pharos.
func (p *Pipeline) exporterFactory() exporter.Factory {
	return exporter.NewFactory(component.MustNewType(exporterName), func() component.Config { return new(exporterConfig) },
		exporter.WithMetrics(func(_ context.Context, _ exporter.Settings, cfg component.Config) (exporter.Metrics, error) {
			return p.newExporter(cfg), nil
		}, component.StabilityLevelStable),
		exporter.WithLogs(func(_ context.Context, _ exporter.Settings, cfg component.Config) (exporter.Logs, error) {
			return p.newExporter(cfg), nil
		}, component.StabilityLevelStable),
		exporter.WithTraces(func(_ context.Context, _ exporter.Settings, cfg component.Config) (exporter.Traces, error) {
			return p.newExporter(cfg), nil
		}, component.StabilityLevelStable),
	)
}

func (p *Pipeline) newExporter(cfg component.Config) *sinkExporter {
	e := &sinkExporter{sink: p.opts.Sink, tenant: p.opts.Tenant, logger: p.opts.Logger}
	if c, ok := cfg.(*exporterConfig); ok {
		e.fallback = c.Tenant
	}
	return e
}

// sinkExporter is the exporter pharos.
type sinkExporter struct {
	component.StartFunc
	component.ShutdownFunc

	sink     Sink
	tenant   func(ctx context.Context, id string) (model.Tenant, error)
	fallback string
	logger   *slog.Logger
}

// errBug is what a client is told when its data made the conversion panic.
var errBug = errors.New("the data hit a bug of Pharos; its log has the details")

// consume encodes data and writes it for the tenant of ctx. gRPC has nobody who recovers a
// panic: a bug in the conversion of one request would end the process, and the request
// would come again. It returns how many items the Sink read.
func (e *sinkExporter) consume(ctx context.Context, sig model.Signal, encode func() ([]byte, error)) (items int, err error) {
	defer func() {
		if r := recover(); r != nil {
			e.logger.Error("write panicked", "signal", sig.String(), "panic", r, "stack", string(debug.Stack()))
			err = toClient(ctx, sig, errBug)
		}
	}()
	tenant, err := e.owner(ctx)
	if err != nil {
		return 0, toClient(ctx, sig, err)
	}
	body, err := encode()
	if err == nil {
		items, err = e.write(ctx, sig, tenant, body)
	}
	return items, toClient(ctx, sig, err)
}

func (e *sinkExporter) write(ctx context.Context, sig model.Signal, tenant model.Tenant, body []byte) (items int, err error) {
	switch sig {
	case model.Metrics:
		return e.sink.WriteMetrics(ctx, tenant, body)
	case model.Logs:
		return e.sink.WriteLogs(ctx, tenant, body)
	default:
		return e.sink.WriteTraces(ctx, tenant, body)
	}
}

// Capabilities implements consumer: data is only read.
func (*sinkExporter) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// ConsumeMetrics implements consumer.Metrics.
func (e *sinkExporter) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	_, err := e.consume(ctx, model.Metrics, func() ([]byte, error) { return new(pmetric.ProtoMarshaler).MarshalMetrics(md) })
	return err
}

// ConsumeLogs implements consumer.Logs.
func (e *sinkExporter) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	_, err := e.consume(ctx, model.Logs, func() ([]byte, error) { return new(plog.ProtoMarshaler).MarshalLogs(ld) })
	return err
}

// ConsumeTraces implements consumer.Traces.
func (e *sinkExporter) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	_, err := e.consume(ctx, model.Traces, func() ([]byte, error) { return new(ptrace.ProtoMarshaler).MarshalTraces(td) })
	return err
}

// owner finds the tenant in the metadata that receivers keep of a request.
func (e *sinkExporter) owner(ctx context.Context) (model.Tenant, error) {
	id := e.fallback
	if v := client.FromContext(ctx).Metadata.Get(headerTenant); len(v) > 0 && v[0] != "" {
		id = v[0]
	}
	return e.tenant(ctx, id)
}

// retryDelay is how long clients are asked to wait when the stores are overloaded.
const retryDelay = 5 * time.Second

// clientError is an error with the gRPC status that receivers answer it with.
type clientError struct {
	error
	status *status.Status
}

// Error returns the text of the cause, as it can be sent: it may quote bytes of the
// request, and a status must be UTF-8.
func (e clientError) Error() string { return strings.ToValidUTF8(e.error.Error(), "\ufffd") }

// GRPCStatus is what package status looks for.
func (e clientError) GRPCStatus() *status.Status { return e.status }

// Unwrap returns the cause.
func (e clientError) Unwrap() error { return e.error }

// toClient tells clients and processors what an error means to them: do not send it
// again, or try later. Anything unknown may pass, so it is retryable.
func toClient(ctx context.Context, signal model.Signal, err error) error {
	var refused *store.Refused
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && notePartial(ctx, signal, refused):
		return nil
	case refused != nil && refused.TryLater():
		return tryLater(codes.ResourceExhausted, err)
	case refused != nil, errors.Is(err, store.ErrLimit), errors.Is(err, model.ErrMalformed):
		return consumererror.NewPermanent(clientError{err, status.New(codes.InvalidArgument, err.Error())})
	case errors.Is(err, model.ErrTenantMissing):
		return consumererror.NewPermanent(clientError{err, status.New(codes.Unauthenticated, err.Error())})
	case errors.Is(err, model.ErrTenant):
		return consumererror.NewPermanent(clientError{err, status.New(codes.InvalidArgument, err.Error())})
	case errors.Is(err, errBug):
		return consumererror.NewPermanent(clientError{err, status.New(codes.Internal, err.Error())})
	case errors.Is(err, store.ErrUnsupported):
		return consumererror.NewPermanent(clientError{err, status.New(codes.Unimplemented, err.Error())})
	case errors.Is(err, context.Canceled):
		return err
	}
	return tryLater(codes.Unavailable, err)
}

// tryLater is an error that waiting cures.
func tryLater(code codes.Code, err error) error {
	st := status.New(code, err.Error())
	if with, detailErr := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(retryDelay)}); detailErr == nil {
		st = with
	}
	return clientError{err, st}
}
