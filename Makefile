# SPDX-License-Identifier: Apache-2.0

GO ?= go
export GO

# The compiler of the committed BPF objects. Another version may produce other bytes.
BPF_CLANG ?= clang-16
BPF_STRIP ?= llvm-strip-16
BPF_INCLUDE ?= -I/usr/include/$(shell uname -m)-linux-gnu
export BPF_CLANG BPF_STRIP BPF_INCLUDE

# Tools are versioned separately from the receiver.
TOOL := $(GO) tool -modfile=tools/go.mod

# Tools that take minutes to build are kept outside of the repository, under
# their version.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/getsockoptreceiver
version = $(shell cat $(1)/go.mod $(1)/go.sum 2>/dev/null | sha256sum | cut -c 1-16)
JAEGER := $(CACHE)/jaeger-$(call version,tools/jaeger)
LINT := $(CACHE)/golangci-lint-$(call version,tools/lint)

COLLECTOR := dist/otelcol-getsockopt
CONFIG ?= config/local.yaml

# Sources of the Collector. Folders are included because a removed file changes them.
SOURCES := builder-config.yaml go.mod go.sum tools/go.mod tools/go.sum \
	$(shell find bpf internal receiver -type d ! -name testdata -o -name '*.go' ! -name '*_test.go' -o -name '*.o')

# All C and all shell scripts, for make check.
C_FILES = $(shell git ls-files '*.c' '*.h')
SCRIPTS = $(shell git ls-files .ci/run '*.sh')
CLANG_FORMAT ?= clang-format-16
export CLANG_FORMAT
MODULES := . tools $(patsubst %/go.mod,%,$(wildcard tools/*/go.mod test/*/*/go.mod))

# Packages whose tests need root, because they load BPF programs, or the compiler of the
# BPF objects. make test-unit runs all others, except the tests of NOT_UNIT_TESTS:
# mdatagen's lifecycle test starts the receiver.
NOT_UNIT := internal/probe test/backends test/differential test/e2e test/generated test/identity test/publisher test/resilience test/soak
NOT_UNIT_TESTS := ^TestComponentLifecycle$$
UNIT = $(filter-out $(addprefix %/,$(NOT_UNIT)),$(shell $(GO) list ./...))

# The Collector needs privileges to load BPF programs, its build does not.
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo -E)

.DELETE_ON_ERROR:

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Build the Collector and run it as root; it prints calls. CONFIG=FILE for another configuration.
	$(SUDO) $(COLLECTOR) --config $(CONFIG)

.PHONY: build
build: $(COLLECTOR) ## Build the Collector into dist/.

# Without cgo it is linked statically, and runs on any distribution.
$(COLLECTOR): $(SOURCES)
	CGO_ENABLED=0 $(TOOL) builder --config builder-config.yaml
	@touch $@

.PHONY: check
check: check-setup check-format check-headers check-scripts check-workflows check-modules check-generated lint ## Run all static checks.
	$(GO) vet ./...
	$(GO) test -count=1 ./test/structure ./test/registry

.PHONY: check-setup
check-setup:
	hack/setup.sh check

.PHONY: check-format
check-format:
	$(CLANG_FORMAT) --dry-run --Werror $(C_FILES)

# Each header compiles alone, whatever was included before it.
.PHONY: check-headers
check-headers:
	@for arch in x86 arm64; do for header in bpf/*.h; do \
		$(BPF_CLANG) -target bpf -D__TARGET_ARCH_$$arch -fsyntax-only -Wall -Wextra -Werror \
			-Wno-unused-parameter -Wno-unused-function $(BPF_INCLUDE) -x c $$header || exit; \
	done; done

.PHONY: check-scripts
check-scripts:
	shellcheck $(SCRIPTS)

.PHONY: check-workflows
check-workflows:
	$(GO) tool -modfile=tools/actionlint/go.mod actionlint

.PHONY: check-modules
check-modules:
	@for module in $(MODULES); do echo "go mod tidy -diff in $$module"; $(GO) -C $$module mod tidy -diff || exit; done

.PHONY: check-generated
check-generated:
	$(GO) test -count=1 ./test/generated

.PHONY: test-unit
test-unit: ## Run the tests that need neither root nor a network.
	hack/setup.sh unit
	$(GO) test -skip '$(NOT_UNIT_TESTS)' $(UNIT)

.PHONY: test
test: root setup build jaeger ## Install the packages for the tests, and run all tests, as root.
	$(GO) build -race ./...
	$(GO) test -race -count=1 -p 1 -timeout 30m ./...
	$(MAKE) test-kernels

.PHONY: root
root:
	@test "$$(id -u)" = 0 || { echo "The tests load BPF programs: run them as root, or run make test-unit." >&2; exit 1; }

.PHONY: test-kernels
test-kernels: build ## Run the receiver on every kernel that it supports, in virtual machines.
	hack/setup.sh kernels
	$(GO) run ./test/kernels

.PHONY: bench
bench: ## Measure the cost of the receiver, as root, on an idle host.
	$(GO) run ./test/bench -out bench.json

.PHONY: soak
soak: build ## Run at full load with injected faults for a duration: FOR=10m.
	$(GO) run ./test/soak -for $(or $(FOR),1m)

.PHONY: setup
setup: ## Install the packages for checks and tests, except Go and a C compiler.
	hack/setup.sh

.PHONY: jaeger
jaeger: .cache/jaeger ## Build Jaeger, which the tests send to.

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

.PHONY: format
format: $(LINT) ## Format all Go and C.
	$(LINT) fmt
	$(CLANG_FORMAT) -i $(C_FILES)

.PHONY: generate
generate: generate-bpf generate-receiver generate-semconv generate-options ## Generate the committed files from BPF C, metadata.yaml, model/ and the table of options.

.PHONY: generate-bpf
generate-bpf:
	$(GO) generate ./bpf ./test/bench/empty

.PHONY: generate-receiver
generate-receiver:
	$(GO) generate ./receiver/getsockoptreceiver

.PHONY: generate-semconv
generate-semconv:
	$(GO) generate ./internal/semconv

.PHONY: generate-options
generate-options:
	$(GO) generate ./internal/sockopt

.PHONY: generate-sockopt
generate-sockopt: ## Generate the table of socket options, from the kernel headers of Debian 11 to unstable.
	headers=$$(internal/sockopt/sockoptgen/headers.sh) && $(GO) run ./internal/sockopt/sockoptgen -headers "$$headers"

.PHONY: clean
clean: ## Remove build results. Jaeger and golangci-lint stay in the user's cache.
	rm -rf dist .cache
