package loki

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pharos-o11y/pharos/internal/model"
)

// TestTailIsOver checks that a tail whose time is over says goodbye, also at the moment of a
// ping.
func TestTailIsOver(t *testing.T) {
	for _, d := range []time.Duration{300 * time.Millisecond, time.Second} {
		s := newTest(t, Options{Limits: func(model.Tenant) Limits { return Limits{MaxTailTime: d} }})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		conn := s.dial(ctx, params("query", `{app="x"}`), http.Header{})
		defer conn.CloseNow()
		for {
			if _, _, err := conn.Read(ctx); err != nil {
				if websocket.CloseStatus(err) != websocket.StatusNormalClosure {
					t.Errorf("%s: %v, want close status 1000", d, err)
				}
				break
			}
		}
	}
}
