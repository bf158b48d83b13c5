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
NFPM := $(CACHE)/nfpm-$(call version,tools/nfpm)
CYCLONEDX := $(CACHE)/cyclonedx-gomod-$(call version,tools/cyclonedx)
JAEGER := $(CACHE)/jaeger-$(call version,tools/jaeger)
LINT := $(CACHE)/golangci-lint-$(call version,tools/lint)

# Compiles packages as the Collectors are, which have most of them in Go's cache.
AS_BUILT = CGO_ENABLED=0 GOFLAGS="$$($(GO) env GOFLAGS) -trimpath"

COLLECTOR := dist/otelcol-getsockopt
COLLECTOR_K8S := dist-k8s/otelcol-getsockopt-k8s
COLLECTOR_GATEWAY := dist-gateway/otelcol-getsockopt-gateway
CONFIG ?= config/local.yaml

# Sources of both Collectors. Folders are included because a removed file changes them.
SOURCES := go.mod go.sum tools/go.mod tools/go.sum \
	$(shell find bpf extension internal receiver -type d ! -name testdata -o -name '*.go' ! -name '*_test.go' -o -name '*.o')

# All C and all shell scripts, for make check.
C_FILES = $(shell git ls-files '*.c' '*.h')
SCRIPTS = $(shell git ls-files .ci/run '*.sh')
CLANG_FORMAT ?= clang-format-16
export CLANG_FORMAT
MODULES := . tools $(patsubst %/go.mod,%,$(wildcard tools/*/go.mod test/*/*/go.mod))

# Packages whose tests need root, because they load BPF programs, or the compiler of the
# BPF objects. make test-unit runs all others, except the tests of NOT_UNIT_TESTS:
# mdatagen's lifecycle test starts the receiver.
NOT_UNIT := internal/probe test/backends test/differential test/e2e test/generated test/identity test/isolation test/kubernetes test/publisher test/resilience test/ship test/soak
NOT_UNIT_TESTS := ^TestComponentLifecycle$$
UNIT = $(filter-out $(addprefix %/,$(NOT_UNIT)),$(shell $(GO) list ./...))

# Packages whose tests have no goroutines and compute for long: the race detector has nothing
# to find in them, and makes them five times slower.
SEQUENTIAL := internal/metrics internal/sampling internal/sockopt

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

.PHONY: build-k8s
build-k8s: $(COLLECTOR_K8S) ## Build the Collector for Kubernetes into dist-k8s/.

.PHONY: build-gateway
build-gateway: $(COLLECTOR_GATEWAY) ## Build the Collector for gateways into dist-gateway/.

# Without cgo they are linked statically, and run on any distribution. Without the state
# of git two builds of the same files are equal. The builder itself is built with the same
# flags as the Collectors: then they share the standard library.
$(COLLECTOR): builder-config.yaml
$(COLLECTOR_K8S): builder-config-k8s.yaml
$(COLLECTOR_GATEWAY): builder-config-gateway.yaml tools/go.mod tools/go.sum # it has no receiver for calls
$(COLLECTOR) $(COLLECTOR_K8S): $(SOURCES)
$(COLLECTOR) $(COLLECTOR_K8S) $(COLLECTOR_GATEWAY):
	@echo "Building $@: three to five minutes on two cores the first time, then seconds."
	CGO_ENABLED=0 GOFLAGS="$$($(GO) env GOFLAGS) -trimpath -buildvcs=false" $(TOOL) builder --config $(filter builder-config%,$^) --skip-compilation
	CGO_ENABLED=0 GOFLAGS="$$($(GO) env GOFLAGS) -buildvcs=false" hack/compile.sh $(@D) $(@F)
	@touch $@

# What is released. Two builds of the same files are equal, in any folder.
VERSION := $(shell cat VERSION)
ARCHES := amd64 arm64

BINARIES := $(ARCHES:%=dist/linux-%/otelcol-getsockopt)
BINARIES_K8S := $(ARCHES:%=dist-k8s/linux-%/otelcol-getsockopt-k8s)
SBOMS := $(BINARIES:=.cdx.json) $(BINARIES_K8S:=.cdx.json)
IMAGE := dist/image
PACKAGES := dist/packages
RELEASE := dist/release

# From the sources that the builder wrote for this host.
binary = CGO_ENABLED=0 GOOS=linux GOARCH=$* $(GO) build -C $(1) -trimpath -buildvcs=false -ldflags='-s -w' -o linux-$*/$(@F) .
dist/linux-%/otelcol-getsockopt: $(COLLECTOR)
	$(call binary,dist)
dist-k8s/linux-%/otelcol-getsockopt-k8s: $(COLLECTOR_K8S)
	$(call binary,dist-k8s)

# The modules in a binary, in CycloneDX.
$(SBOMS): %.cdx.json: % $(CYCLONEDX)
	$(CYCLONEDX) bin -json -std -noserial -notimestamp -version v$(VERSION) -output $@ $<

.PHONY: image
image: $(IMAGE)/index.json ## Build the image of the Collector for Kubernetes, an OCI layout, into dist/image/.

IMAGE_SOURCES := $(wildcard tools/image/*) config/kubernetes.yaml LICENSE bpf/LICENSE.GPL-2.0 bpf/LICENSE.BSD-2-Clause VERSION
$(IMAGE)/index.json: $(BINARIES_K8S) $(BINARIES_K8S:=.cdx.json) $(IMAGE_SOURCES)
	rm -rf $(IMAGE)
	$(GO) run -C tools/image . -root $(CURDIR) -out $(CURDIR)/$(IMAGE)

.PHONY: packages
packages: $(PACKAGES)/.done ## Build the deb and the rpm into dist/packages/.

PACKAGE_SOURCES := $(wildcard deploy/package/*) config/journal.yaml config/prometheus.yaml config/agent.yaml LICENSE bpf/LICENSE.GPL-2.0 bpf/LICENSE.BSD-2-Clause VERSION
$(PACKAGES)/.done: $(NFPM) $(BINARIES) $(BINARIES:=.cdx.json) $(PACKAGE_SOURCES)
	@rm -rf $(PACKAGES) && mkdir -p $(PACKAGES)
	for arch in $(ARCHES); do for format in deb rpm; do \
		ARCH=$$arch VERSION=$(VERSION) $(NFPM) package -f deploy/package/nfpm.yaml -p $$format -t $(PACKAGES) || exit; \
	done; done
	@touch $@

.PHONY: release
release: image packages ## Build packages, tarballs, the image and their checksums into dist/release/.
	rm -rf $(RELEASE) && mkdir -p $(RELEASE)
	cp $(PACKAGES)/*.deb $(PACKAGES)/*.rpm $(RELEASE)
	hack/tarballs.sh $(VERSION) $(RELEASE) $(ARCHES)
	cd $(RELEASE) && sha256sum * >SHA256SUMS

.PHONY: check
check: check-setup check-format check-headers check-scripts check-workflows check-modules check-manifests check-generated check-rules check-queries lint ## Run all static checks.
	$(AS_BUILT) $(GO) vet ./...
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

.PHONY: check-manifests
check-manifests:
	$(GO) run -C tools/manifests . $(addprefix $(CURDIR)/,$(wildcard deploy/kubernetes/*.yaml))

.PHONY: check-generated
check-generated:
	$(GO) test -count=1 ./test/generated

.PHONY: check-rules
check-rules:
	promtool check rules deploy/prometheus/rules.yaml
	promtool test rules deploy/prometheus/rules_test.yaml

# The syntax of TraceQL is checked with Grafana's own grammar; PromQL is run, by test/backends.
.PHONY: check-queries
check-queries:
	npm ci --prefix tools/traceql --silent --no-audit --no-fund --ignore-scripts
	node tools/traceql/check.mjs docs/*.md

.PHONY: test-unit
test-unit: ## Run the tests that need neither root nor a network.
	hack/setup.sh unit
	$(GO) test -skip '$(NOT_UNIT_TESTS)' $(UNIT)

# make check vets all.
.PHONY: test
test: root setup build build-k8s build-gateway jaeger ## Install the packages for the tests, and run all tests on this kernel, as root.
	$(GO) test -count=1 $(addprefix ./,$(SEQUENTIAL))
	$(GO) list -race -test -deps -export ./... >/dev/null # compiles all, on all CPUs
	$(GO) test -race -vet=off -count=1 $(filter-out $(addprefix %/,$(SEQUENTIAL)),$(UNIT))
	$(GO) test -race -vet=off -count=1 -p 1 -timeout 30m $(addprefix ./,$(filter-out test/ship,$(NOT_UNIT)))

.PHONY: root
root:
	@test "$$(id -u)" = 0 || { echo "The tests load BPF programs: run them as root, or run make test-unit." >&2; exit 1; }

.PHONY: test-kernels
test-kernels: build ## Run the receiver on every kernel that it supports, in virtual machines.
	hack/setup.sh kernels
	$(GO) run ./test/kernels

.PHONY: guests
guests: build ## Fetch the kernels of test-kernels and compile what they run, which is then in Go's cache.
	hack/setup.sh kernels
	$(GO) run ./test/kernels -prepare

# The containers run a test binary of their own, which needs to be linked statically.
.PHONY: test-ship
test-ship: root image packages ## Test the packages in a booted Debian, and the image in containers and on arm64, as root.
	hack/setup.sh ship
	CGO_ENABLED=0 $(GO) test -count=1 -timeout 20m ./test/ship

.PHONY: bench
bench: build ## Measure the cost of the receiver, as root, on an idle host.
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
	CGO_ENABLED=0 $(GO) build -C tools/jaeger -trimpath -ldflags='-s -w' -o $@.new github.com/jaegertracing/jaeger/cmd/jaeger
	@mv $@.new $@

$(NFPM):
	@mkdir -p $(@D)
	CGO_ENABLED=0 $(GO) build -C tools/nfpm -trimpath -ldflags='-s -w' -o $@.new github.com/goreleaser/nfpm/v2/cmd/nfpm
	@mv $@.new $@

$(CYCLONEDX):
	@mkdir -p $(@D)
	CGO_ENABLED=0 $(GO) build -C tools/cyclonedx -trimpath -ldflags='-s -w' -o $@.new github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
	@mv $@.new $@

.PHONY: lint
lint: $(LINT) ## Check the code with golangci-lint.
	$(AS_BUILT) $(LINT) run

$(LINT):
	@mkdir -p $(@D)
	CGO_ENABLED=0 $(GO) build -C tools/lint -trimpath -ldflags='-s -w' -o $@.new github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@mv $@.new $@

.PHONY: format
format: $(LINT) ## Format all Go and C.
	$(LINT) fmt
	$(CLANG_FORMAT) -i $(C_FILES)

.PHONY: generate
generate: generate-bpf generate-receiver generate-semconv generate-options generate-dashboards generate-kubernetes ## Generate the committed files: from BPF C, metadata.yaml, model/, the table of options, the dashboards' source and config/kubernetes.yaml.

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

.PHONY: generate-dashboards
generate-dashboards:
	$(GO) -C tools/dashboards run .

.PHONY: generate-kubernetes
generate-kubernetes:
	hack/kubernetes.sh

.PHONY: generate-sockopt
generate-sockopt: ## Generate the table of socket options, from the kernel headers of Debian 11 to unstable.
	headers=$$(internal/sockopt/sockoptgen/headers.sh) && $(GO) run ./internal/sockopt/sockoptgen -headers "$$headers"

.PHONY: clean
clean: ## Remove build results. Jaeger and golangci-lint stay in the user's cache.
	rm -rf dist dist-gateway dist-k8s .cache
