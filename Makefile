# make        what every change must pass: format, vet, lint, test
# make help   every target

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := all

GO      ?= go
BIN     := $(CURDIR)/bin
TOOLS   := gofumpt gci golangci-lint govulncheck
MODULE  := github.com/homeostat/homeostat

FUZZTIME  ?= 10s
ONLY      ?=
SHOTS     ?=

export CGO_ENABLED ?= 0

.PHONY: all
all: check test ## format check, vet, lint, test

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: check
check: fmt-check vet lint ## what needs no test run

.PHONY: build
build: ## the binaries, into ./bin
	$(GO) build -trimpath -o $(BIN)/ ./cmd/...

.PHONY: fmt
fmt: $(BIN)/gofumpt $(BIN)/gci ## rewrite files in the project's format
	@tools/gofiles | xargs -0 $(BIN)/gofumpt -w
	@tools/gofiles | xargs -0 $(BIN)/gci write --skip-generated -s standard -s default -s 'prefix($(MODULE))'

.PHONY: fmt-check
fmt-check: $(BIN)/gofumpt $(BIN)/gci ## name the files that are not in it
	@bad=$$(tools/gofiles | xargs -0 $(BIN)/gofumpt -l; \
		tools/gofiles | xargs -0 $(BIN)/gci list --skip-generated -s standard -s default -s 'prefix($(MODULE))'); \
	if [ -n "$$bad" ]; then printf 'not formatted, run make fmt:\n%s\n' "$$(sort -u <<<"$$bad")"; exit 1; fi

.PHONY: vet
vet: ## go vet
	$(GO) vet -tags e2e,postgres ./...

.PHONY: lint
lint: $(BIN)/golangci-lint ## golangci-lint, see .golangci.yml, on every module
	$(BIN)/golangci-lint run ./...
	@for module in collector bench/otelcol; do (cd $$module && $(BIN)/golangci-lint run ./...) || exit 1; done

.PHONY: test
test: ## go test, needs nothing but Go
	$(GO) test ./...

.PHONY: race
race: ## go test -race on internal/ (needs a C compiler), without walks of a pure function that has no goroutines
	CGO_ENABLED=1 $(GO) test -race -timeout 20m -skip '^TestStepKeepsPromises' ./internal/...

.PHONY: e2e
e2e: $(BIN)/otelcol $(BIN)/telemetrygen ## tests tagged e2e: the real binary, real processes, strace
	@tools/e2e

.PHONY: page
page: ## every page in a real Chromium while a real fault is healed, SHOTS=docs/screenshots to keep pictures
	@tools/page $(SHOTS)

.PHONY: postgres
postgres: ## tests tagged postgres: real servers of their own, with the race detector
	@tools/postgres

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s) each
	@tools/fuzz $(FUZZTIME)

.PHONY: bench
bench: ## the promised figures on the real server, ONLY=up,lists,page,intake,engine,code for some
	$(GO) run ./bench $(if $(ONLY),-only $(ONLY))

.PHONY: bench-gateway
bench-gateway: build $(BIN)/otelcol ## the gateway beside a Collector, about twelve minutes; SHORT=1 for three
	$(GO) run ./bench/gateway $(if $(SHORT),-short)

# The Collector is large: one package at a time, behind everything else.
$(BIN)/otelcol: bench/otelcol/main.go bench/otelcol/go.mod bench/otelcol/go.sum
	@mkdir -p $(BIN)
	cd bench/otelcol && nice -n 15 $(GO) build -p 1 -trimpath -ldflags '-s -w' -o $@ .

# OpenTelemetry's own generator of telemetry, for the end-to-end tests.
$(BIN)/telemetrygen:
	@mkdir -p $(BIN)
	GOBIN=$(BIN) nice -n 15 $(GO) install -p 1 github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen@v0.161.0

.PHONY: collector
collector: ## the receiver for OpenTelemetry Collectors, inside a real one
	cd collector && nice -n 15 $(GO) vet . && nice -n 15 $(GO) test -p 1 .

.PHONY: eval
eval: ## judgements scored on public data with labels, ONLY=nab,smd8 for some (data in BENCH_DATA)
	$(GO) run ./eval $(if $(ONLY),-only $(ONLY))

.PHONY: cover
cover: ## statement coverage, into ./bin/cover.html
	@mkdir -p $(BIN)
	$(GO) test -coverpkg=./internal/... -coverprofile=$(BIN)/cover.out ./...
	$(GO) tool cover -func=$(BIN)/cover.out | tail -1
	$(GO) tool cover -html=$(BIN)/cover.out -o $(BIN)/cover.html

.PHONY: vuln
vuln: $(BIN)/govulncheck ## known vulnerabilities (asks the Go vulnerability database)
	$(BIN)/govulncheck ./...

.PHONY: tidy-check
tidy-check: ## go.mod and go.sum of every module hold what the code needs, no more
	$(GO) mod tidy -diff
	cd collector && $(GO) mod tidy -diff
	cd bench/otelcol && $(GO) mod tidy -diff

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN)

# The tools are pinned in tools/go.mod and built when first needed or when a
# pin changes.
$(addprefix $(BIN)/,$(TOOLS)): tools/go.mod tools/go.sum
	@mkdir -p $(BIN)
	cd tools && $(GO) build -o $@ $$($(GO) list -f '{{.ImportPath}}' tool | grep '/$(@F)$$')
	@touch $@
