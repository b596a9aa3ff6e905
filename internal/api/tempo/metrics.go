package tempo

import (
	"net/http"

	"github.com/pharos-o11y/pharos/internal/api"
)

func (a *API) metricsRange(w http.ResponseWriter, r *http.Request) error {
	return api.Invalid("TraceQL metrics are not supported yet")
}

func (a *API) metricsInstant(w http.ResponseWriter, r *http.Request) error {
	return api.Invalid("TraceQL metrics are not supported yet")
}
