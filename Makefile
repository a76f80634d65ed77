# gowsgi: what can be made. "make help" lists it.
#
# PYTHON names the CPython (3.9 to 3.13, with headers and libpython) that is built
# against: make PYTHON=/opt/python3.12/bin/python3
# LIBPYTHON=shared takes its shared library where its archive would be linked in.
PYTHON ?= /usr/bin/python3
export LIBPYTHON
DEBUG_PYTHON ?= /usr/bin/python3.11-dbg
FUZZTIME ?= 20s
# What make install installs, and where; DESTDIR, if given, stands in front of that.
BINARY ?= bin/gowsgi
PREFIX ?= /usr/local

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# Debian's names. A Python of its own (/usr/bin) brings the headers as a package;
# any other must have them already, which embed/pkgconfig/choose checks.
HEADERS := $(patsubst /usr/bin/%,%-dev,$(filter /usr/bin/%,$(filter-out %-dbg,$(PYTHON)))) \
	$(patsubst /usr/bin/%,lib%,$(filter /usr/bin/%-dbg,$(PYTHON)))
BUILD_PACKAGES := gcc libc6-dev pkg-config $(HEADERS)
DEB_PACKAGES := binutils dpkg-dev
TEST_PACKAGES := $(BUILD_PACKAGES) python3-dev python3-dbg libpython3-dbg python3-flask \
	python3-django black flake8 clang-format shellcheck iproute2 systemd \
	nginx-light haproxy zsh fish mandoc chromium \
	python3-venv debootstrap lintian $(DEB_PACKAGES) mmdebstrap python3-yaml
BENCH_PACKAGES := $(BUILD_PACKAGES) gunicorn uwsgi-core uwsgi-plugin-python3 python3-waitress apache2 \
	libapache2-mod-wsgi-py3 python3-flask python3-django wrk openssl nghttp2-client

# Every command that compiles C runs in the environment chosen for PYTHON.
EMBED = chosen="$$(embed/pkgconfig/choose $(PYTHON))"; eval "$$chosen";
# Packages without C, and so without any Python: seconds, on any machine.
PURE = $$(CGO_ENABLED=0 go list -e -f '{{if .GoFiles}}{{.ImportPath}}{{end}}' ./cmd/failure ./environ ./wsgi/... ./workers/... ./embed/channel)

.DEFAULT_GOAL := build
.PHONY: help build run check fmt vet unit test all race asan leak e2e chaos matrix \
	lint lint-go lint-c lint-py lint-sh pyapps container fuzz bench install uninstall deb wheel \
	clean need-build need-test need-bench need-deb

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: need-build ## build bin/gowsgi against PYTHON
	@$(EMBED) go build -o bin/gowsgi -ldflags "$$GOWSGI_LDFLAGS -X=main.version=$(VERSION)" ./cmd/gowsgi

run: build ## serve the demonstration application on 127.0.0.1:5000
	@exec bin/gowsgi -b 127.0.0.1:5000 --chdir pyapps demo:application

check: fmt vet unit ## formatting, vet and the tests that need no Python: seconds

fmt: ## say which Go files gofmt -s would change
	@changed=$$(gofmt -s -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	  [[ -z $$changed ]] || { printf 'gofmt -s -w %s\n' $$changed; exit 1; }

vet: ## go vet without C
	@CGO_ENABLED=0 go vet $(PURE)

unit: ## tests of the packages without C
	@CGO_ENABLED=0 go test $(PURE)

test: need-test check lint all pyapps race asan leak matrix container ## every test, about twelve minutes on two cores

all: need-test build ## go test of every package, the end-to-end tests with them
	@$(EMBED) GOWSGI_BIN=$(CURDIR)/bin/gowsgi go test -timeout 8m ./...

race: need-build ## the Go parts under the race detector
	@$(EMBED) go test -race ./environ ./wsgi/... ./workers/... ./embed/channel ./cmd/...

# CPython keeps what it has for the life of the process, which is no leak to
# find here (make leak looks for those); and its workers die by SIGSEGV on purpose.
asan: export ASAN_OPTIONS := detect_leaks=0:handle_segv=0
asan: need-test ## embed's tests and PEP 3333 with the C under AddressSanitizer
	@$(EMBED) go test -asan ./embed
	@$(EMBED) go build -asan -o bin/gowsgi-asan -ldflags "$$GOWSGI_LDFLAGS -X=main.version=$(VERSION)" ./cmd/gowsgi
	@GOWSGI_BIN=$(CURDIR)/bin/gowsgi-asan go test -count=1 -run 'PEP3333|Environ|EarlyHints|FileWrapper' ./tests

leak: PYTHON := $(DEBUG_PYTHON)
leak: need-test ## the whole under a debug CPython, which counts references
	@$(EMBED) go build -o bin/gowsgi-debug -ldflags "$$GOWSGI_LDFLAGS -X=main.version=$(VERSION)" ./cmd/gowsgi
	@GOWSGI_BIN=$(CURDIR)/bin/gowsgi-debug GOWSGI_TEST_REFERENCES=1 go test -count=1 -v -run Leak ./tests

e2e: need-test build ## what only the whole program can show
	@GOWSGI_BIN=$(CURDIR)/bin/gowsgi go test -count=1 ./tests/...

chaos: build ## minutes of everything at once: kills, hangs, reloads; GOWSGI_CHAOS_SEED=N repeats one
	@GOWSGI_BIN=$(CURDIR)/bin/gowsgi GOWSGI_CHAOS=$${GOWSGI_CHAOS:-4m} GOWSGI_CHAOS_SEED=$${GOWSGI_CHAOS_SEED:-$$RANDOM} \
	  go test -count=1 -v -timeout 30m -run 'Chaos' ./tests

container: need-test ## the images of Dockerfile and docs, built and run without an engine, as root only
	@tests/container/run

matrix: need-build ## embed's tests and a smoke test with every CPython found
	@.ci/matrix

lint: lint-go lint-c lint-py lint-sh ## every linter Debian and Go bring

lint-go: need-test ## gofmt and vet; golangci-lint too where it is installed
	@$(MAKE) fmt
	@$(EMBED) go vet ./...
	@if command -v golangci-lint >/dev/null; then $(EMBED) golangci-lint run ./...; fi

lint-c: need-test ## clang-format
	@files=$$(git ls-files --cached --others --exclude-standard '*.c' '*.h'); \
	  [[ -z $$files ]] || clang-format --dry-run -Werror $$files

lint-py: need-test ## black and flake8, Debian's
	@/usr/bin/black --quiet --check --diff --line-length 88 pyapps tests deploy .ci
	@/usr/bin/flake8 pyapps tests deploy .ci

lint-sh: need-test ## shellcheck on every shell script
	@for file in $$(git ls-files --cached --others --exclude-standard); do \
	  if [[ -f $$file ]] && head -c 64 "$$file" | grep -aqE '^#!.*[ /](ba)?sh$$'; then \
	    shellcheck "$$file"; fi; done

pyapps: need-test ## the applications' own tests
	@cd pyapps && /usr/bin/python3 -m unittest discover -p 'test_*.py' -t . -s .

fuzz: ## every fuzz target for FUZZTIME each
	@for package in $(PURE); do \
	  for target in $$(CGO_ENABLED=0 go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    CGO_ENABLED=0 go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package; \
	  done; done

bench: need-bench build ## gowsgi beside Debian's WSGI servers, interleaved
	@/usr/bin/python3 tests/bench/bench.py

install: $(BINARY) ## put gowsgi, its manual page and completions below PREFIX
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' deploy/package/tree install $(BINARY)

uninstall: ## take away what make install put there
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' deploy/package/tree uninstall

# Built before, it is installed as it is: sudo make install compiles nothing.
bin/gowsgi:
	@$(MAKE) build

deb: need-deb ## make a Debian package for PYTHON, in build/package
	@VERSION=$(VERSION) deploy/package/binary $(PYTHON) build/package/gowsgi
	@deploy/package/deb build/package/gowsgi build/package

wheel: need-build ## make a wheel for PYTHON, in build/package
	@VERSION=$(VERSION) deploy/package/binary $(PYTHON) build/package/gowsgi
	@/usr/bin/python3 deploy/package/wheel.py build/package/gowsgi build/package

clean: ## remove what was built
	@rm -rf bin build

need-build:
	@.ci/need $(sort $(BUILD_PACKAGES))

need-test:
	@.ci/need $(sort $(TEST_PACKAGES))

need-deb:
	@.ci/need $(sort $(BUILD_PACKAGES) $(DEB_PACKAGES))

need-bench:
	@.ci/need $(sort $(BENCH_PACKAGES))
