package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// lokiClient stands for the agent on each machine that follows log files and pushes
// their lines, labelled by service.
type lokiClient struct {
	url    string
	http   *http.Client
	values map[string][][2]string // by service: time, line
	held   int
}

func newLokiClient(base string) *lokiClient {
	return &lokiClient{
		url:    strings.TrimSuffix(base, "/") + "/loki/api/v1/push",
		http:   &http.Client{Timeout: 10 * time.Second},
		values: map[string][][2]string{},
	}
}

// add appends a line to the log file of a service.
func (c *lokiClient) add(service string, at time.Time, line string) {
	if c.held >= maxHeld {
		clear(c.values)
		c.held = 0
	}
	c.values[service] = append(c.values[service], [2]string{strconv.FormatInt(at.UnixNano(), 10), line})
	c.held++
}

// flush pushes the lines added since it last succeeded.
func (c *lokiClient) flush(ctx context.Context) error {
	if c.held == 0 {
		return nil
	}
	type stream struct {
		Stream map[string]string `json:"stream"`
		Values [][2]string       `json:"values"`
	}
	var body struct {
		Streams []stream `json:"streams"`
	}
	for service, values := range c.values {
		body.Streams = append(body.Streams, stream{
			Stream: map[string]string{"service": service, "environment": "demo", "job": "shop/" + service},
			Values: values,
		})
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode log files: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("push log files: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("push log files: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return fmt.Errorf("push log files: %s: %s", resp.Status, bytes.TrimSpace(text))
	}
	clear(c.values)
	c.held = 0
	return nil
}
