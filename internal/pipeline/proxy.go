package pipeline

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/receiver/otlpreceiver"
)

// OTLPHandler serves /v1/traces, /v1/metrics and /v1/logs by passing requests on to the
// OTLP/HTTP receiver of the running configuration, so that its processors apply. While
// there is no such receiver it answers 404 or 503 and says why.
func (p *Pipeline) OTLPHandler() http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			if target, _ := p.otlpTarget(r.In.URL.Path); target != nil {
				r.Out.URL = target
				r.Out.Host = target.Host
			}
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			otlpError(w, http.StatusServiceUnavailable, "the OTLP receiver does not answer: "+err.Error())
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, reason := p.otlpTarget(r.URL.Path); reason != "" {
			status := http.StatusNotFound
			if p.running.Load() == nil {
				status = http.StatusServiceUnavailable
			}
			otlpError(w, status, reason)
			return
		}
		proxy.ServeHTTP(w, r)
	})
}

// otlpError answers with a google.rpc.Status in JSON.
func otlpError(w http.ResponseWriter, status int, message string) {
	code := 5 // not found
	if status == http.StatusServiceUnavailable {
		code = 14
		w.Header().Set("Retry-After", "5")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"code": code, "message": message}) // the client left
}

// otlpTarget returns where a request for path goes, or the reason why it goes nowhere.
func (p *Pipeline) otlpTarget(path string) (target *url.URL, reason string) {
	signal := path[strings.LastIndexByte(path, '/')+1:]
	if !slices.Contains(signals(), signal) {
		return nil, "unknown path " + path + "; OTLP/HTTP has /v1/traces, /v1/metrics and /v1/logs"
	}
	l := p.running.Load()
	if l == nil {
		return nil, "the pipeline is not running"
	}
	reason = "the pipeline has no otlp receiver with protocol http that takes " + signal
	for id, pl := range l.config.Service.Pipelines {
		if id.Signal().String() != signal {
			continue
		}
		for _, rid := range pl.Receivers {
			cfg, ok := l.config.Receivers[rid].(*otlpreceiver.Config)
			if !ok || !cfg.Protocols.HTTP.HasValue() {
				continue
			}
			if target := httpTarget(cfg, signal); target != nil {
				return target, ""
			}
			reason = "the OTLP/HTTP receiver " + rid.String() + " uses TLS; send to it directly"
		}
	}
	return nil, reason
}

// httpTarget returns the loopback URL of a receiver, nil if it demands TLS.
func httpTarget(cfg *otlpreceiver.Config, signal string) *url.URL {
	h := cfg.Protocols.HTTP.Get()
	if h.ServerConfig.TLS.HasValue() {
		return nil
	}
	host := h.ServerConfig.NetAddr.Endpoint
	if name, port, err := net.SplitHostPort(host); err == nil && (name == "" || net.ParseIP(name).IsUnspecified()) {
		host = net.JoinHostPort("127.0.0.1", port)
	}
	paths := map[string]otlpreceiver.SanitizedURLPath{"traces": h.TracesURLPath, "metrics": h.MetricsURLPath, "logs": h.LogsURLPath}
	return &url.URL{Scheme: "http", Host: host, Path: string(paths[signal])}
}
