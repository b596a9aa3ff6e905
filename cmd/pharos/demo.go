package main

import "context"

type demoCmd struct{ serverFlags }

// Run serves with the synthetic shop.
func (c *demoCmd) Run(ctx context.Context, s streams) error {
	return serve(ctx, s, &c.serverFlags, true)
}
