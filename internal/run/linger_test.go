package run

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		lingering, end := Linger(ctx, 10*time.Second)
		defer end()
		time.Sleep(time.Minute)
		stopped := time.Now()
		cancel()
		synctest.Wait()
		if lingering.Err() != nil {
			t.Fatal("it ends with its context")
		}
		<-lingering.Done()
		if d := time.Since(stopped); d != 10*time.Second {
			t.Errorf("it ends after %s", d)
		}
	})
}
