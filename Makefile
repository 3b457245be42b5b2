# `make help` lists what there is to make.

# The experimental JSON of Go halves what reading an event costs. Everything
# also builds, and passes its tests, without it: the plain go commands work too.
export GOEXPERIMENT ?= jsonv2

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
BUILD   := CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)'

# The race detector needs a C compiler. `make test RACE=` goes without it,
# `make test RACE=-race` insists on it.
RACE ?= $(if $(shell command -v "$$(go env CC)" 2>/dev/null),-race)

# How long each fuzz target runs, and what `make bench` is to measure.
FUZZTIME ?= 20s
BENCH    ?=

GOLANGCI ?= go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.5.0

.DEFAULT_GOAL := help
.PHONY: help build run test check tools bench lint fuzz clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## the static binary bin/daybook
	$(BUILD) -o bin/daybook ./cmd/daybook

run: build ## the main job on an empty machine: serve in development mode, with simulated traffic
	bin/daybook serve --dev --demo

test: check tools ## every test, with the race detector where there is a C compiler
	@[ -n "$(RACE)" ] || echo "make test: no C compiler, or RACE is empty: running WITHOUT the race detector" >&2
	$(if $(RACE),CGO_ENABLED=1,CGO_ENABLED=0) go test -timeout 30m $(RACE) ./...

check: ## formatting and go vet
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "not gofmt-ed:" $$files >&2; exit 1; }
	go vet ./...

tools: ## what tests start beside Go: redis-server, python3, openssl, promtool, systemd-analyze; installed where there is apt-get
	scripts/install-tools

bench: build ## speed and memory against their targets; BENCH='-parts ingest' measures one part
	$(BUILD) -o bin/daybook-bench ./cmd/daybook-bench
	bin/daybook-bench -daybook bin/daybook $(BENCH)

lint: check ## formatting, go vet and golangci-lint, which is downloaded at first
	$(GOLANGCI) run

fuzz: ## every fuzz target for FUZZTIME each (20s)
	@set -e; for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' "$$pkg" | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$pkg"; \
		done; \
	done

clean: ## remove what was built; data stays
	rm -rf bin
