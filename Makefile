# SPDX-License-Identifier: Apache-2.0

GO ?= go
export GO

# The compiler of the committed BPF objects. Another one may make other bytes.
BPF_CLANG ?= clang-16
BPF_STRIP ?= llvm-strip-16
BPF_INCLUDE ?= -I/usr/include/$(shell uname -m)-linux-gnu
export BPF_CLANG BPF_STRIP BPF_INCLUDE

# The tools have versions of their own, apart from the receiver's.
TOOL := $(GO) tool -modfile=tools/go.mod

# Tools that take minutes to build are kept outside of the repository, under
# their version.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/getsockoptreceiver
version = $(shell cat $(1)/go.mod $(1)/go.sum 2>/dev/null | sha256sum | cut -c 1-16)
JAEGER := $(CACHE)/jaeger-$(call version,tools/jaeger)
LINT := $(CACHE)/golangci-lint-$(call version,tools/lint)

COLLECTOR := dist/otelcol-getsockopt
CONFIG ?= config/local.yaml

# What the Collector is made of. The folders are in it so that a file which is
# gone counts as a change.
SOURCES := builder-config.yaml go.mod go.sum tools/go.mod tools/go.sum \
	$(shell find bpf internal receiver -type d ! -name testdata -o -name '*.go' ! -name '*_test.go' -o -name '*.o')

# The Collector needs privileges to load BPF programs, its build does not.
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo -E)

.DELETE_ON_ERROR:

.PHONY: help
help: ## Show this.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Build the Collector and run it as root: calls go by on the terminal. CONFIG=FILE for another configuration.
	$(SUDO) $(COLLECTOR) --config $(CONFIG)

.PHONY: build
build: $(COLLECTOR) ## Build the Collector into dist/.

# Without cgo it is linked statically, and runs on any distribution.
$(COLLECTOR): $(SOURCES)
	CGO_ENABLED=0 $(TOOL) builder --config builder-config.yaml
	@touch $@

.PHONY: test
test: setup build jaeger ## Install what the tests need, and run all of them, as root.
	$(GO) vet ./...
	$(GO) build -race ./...
	$(GO) test -race -count=1 -p 1 -timeout 30m ./...
	$(MAKE) test-kernels

.PHONY: test-kernels
test-kernels: build ## Run the receiver on every kernel that it supports, in virtual machines.
	hack/setup.sh kernels
	$(GO) run ./test/kernels

.PHONY: bench
bench: ## Measure what the receiver costs, as root. Nothing else should run meanwhile.
	$(GO) run ./test/bench -out bench.json

.PHONY: soak
soak: build ## Run at full load with faults injected, for a time: FOR=10m.
	$(GO) run ./test/soak -for $(or $(FOR),1m)

.PHONY: setup
setup: ## Install what the tests need beyond Go and a C compiler.
	hack/setup.sh

.PHONY: jaeger
jaeger: .cache/jaeger ## Build the Jaeger that the tests send to.

.cache/jaeger: $(JAEGER)
	@mkdir -p $(@D)
	@ln -sfn $< $@

$(JAEGER):
	@mkdir -p $(@D)
	$(GO) build -C tools/jaeger -trimpath -ldflags='-s -w' -o $@.new github.com/jaegertracing/jaeger/cmd/jaeger
	@mv $@.new $@

.PHONY: lint
lint: $(LINT) ## Check the code with golangci-lint.
	$(LINT) run

$(LINT):
	@mkdir -p $(@D)
	$(GO) build -C tools/lint -trimpath -ldflags='-s -w' -o $@.new github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@mv $@.new $@

.PHONY: generate
generate: generate-bpf generate-receiver generate-semconv ## Make the committed files again that come from BPF C, metadata.yaml and model/.

.PHONY: generate-bpf
generate-bpf:
	$(GO) generate ./bpf ./test/bench/empty

.PHONY: generate-receiver
generate-receiver:
	$(GO) generate ./receiver

.PHONY: generate-semconv
generate-semconv:
	$(GO) generate ./internal/semconv

.PHONY: generate-sockopt
generate-sockopt: ## Make the table of socket options again, from the kernel headers of Debian 11 to unstable.
	$(GO) generate ./internal/sockopt

.PHONY: clean
clean: ## Remove what was built here. Jaeger and golangci-lint stay in the user's cache.
	rm -rf dist .cache
