# Pharos: `make run` and `make test` are all that a new user needs; `make help` lists the rest.
# Needed beforehand: Go 1.26, Node 20 with npm, make. Everything else is installed by the
# targets themselves (Chromium for the browser tests by apt when root).

SHELL      := /bin/bash
GO         ?= go
TAGS       := remove_all_sd,enable_kubernetes_sd,enable_dns_sd,enable_consul_sd
VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS    := -s -w -X main.version=$(VERSION)
GOBUILD    := $(GO) build -tags $(TAGS) -ldflags '$(LDFLAGS)'
TOOL       := $(GO) tool -modfile=tools/go.mod
GOTEST     := $(GO) test -tags $(TAGS)
DATA       ?= ./data
# Packages whose tests also run under the race detector: ours that do not link the
# Collector, so that a cold build stays bounded.
RACE       := ./internal/run/... ./internal/engine/... ./internal/query/... ./internal/metricstore/... ./internal/logstore/... ./internal/tracestore/... ./internal/logql/... ./internal/traceql/... ./internal/ingest/...
FUZZTIME   ?= 2s

.PHONY: help run build ui test test-fast test-go test-race test-fuzz test-ui test-e2e test-long lint fmt bench docs clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

run: build ## build everything and start the demo on http://127.0.0.1:4319
	./bin/pharos demo --data $(DATA)

build: ui ## build bin/pharos with the UI inside
	$(GOBUILD) -o bin/pharos ./cmd/pharos

ui: web/dist/index.html

web/node_modules/.stamp: web/package.json web/package-lock.json
	cd web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

web/dist/index.html: web/node_modules/.stamp web/index.html web/vite.config.ts web/tsconfig.json $(shell find web/src web/public -type f 2>/dev/null)
	cd web && npm run build --silent

test: build lint test-go test-race test-fuzz test-ui test-e2e ## everything that must pass

test-fast: ## the quick tier: unit tests of all packages
	$(GOTEST) -short ./...

test-go: ## unit, differential, crash and black-box tests
	scripts/gotest.sh -tags $(TAGS) ./...

test-race: ## the engines and languages under the race detector
	$(GOTEST) -short -race $(RACE)

test-fuzz: ## every fuzz target for $(FUZZTIME)
	TAGS=$(TAGS) FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

test-ui: web/node_modules/.stamp ## type check, unit tests and size budget of the UI
	cd web && npm run typecheck --silent && npm run test --silent && npm run budget --silent

test-e2e: build ## browser tests against the real binary
	scripts/setup-chromium.sh
	cd web && PHAROS_BIN=$(CURDIR)/bin/pharos npm run e2e --silent

test-long: ## hours, not minutes: long fuzzing, 30 crash rounds, soak
	PHAROS_LONG=1 PHAROS_CRASH_ROUNDS=30 scripts/gotest.sh -timeout 2h -tags $(TAGS) ./...
	PHAROS_LONG=1 TAGS=$(TAGS) FUZZTIME=2m scripts/fuzz.sh

lint: ## golangci-lint (pinned in tools/go.mod) and the house rules of internal/lint
	$(TOOL) golangci-lint run --allow-parallel-runners --build-tags $(TAGS) ./...
	$(GOTEST) ./internal/lint

fmt: ## format the Go code
	$(TOOL) golangci-lint fmt ./...

bench: build ## side by side with the pinned peers; rewrites the tables in docs/performance.md
	cd bench && $(GO) run . -pharos ../bin/pharos -out ../docs/performance.md

docs: ## regenerate the configuration reference
	$(GO) run -tags $(TAGS) ./cmd/pharos config docs > docs/configuration.md

clean: ## remove what the targets made
	rm -rf bin web/dist/* web/node_modules
