package app

import (
	"context"

	"github.com/pharos-o11y/pharos/internal/api/prom"
	"github.com/pharos-o11y/pharos/internal/model"
)

// targets lists the scrape targets of the pipeline's prometheus receivers. They belong to
// the process, not to a tenant.
func (a *App) targets(ctx context.Context, _ model.Tenant) ([]prom.Target, error) {
	found, err := a.pipeline.Targets(ctx)
	if err != nil {
		a.logger.Warn("targets of a receiver are unknown", "err", err)
	}
	out := make([]prom.Target, len(found))
	for i, t := range found {
		out[i] = prom.Target(t)
	}
	return out, nil
}
