# Everything a person types. Each target is a thin call of a script, so CI and people run the same thing.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
LINT_SECONDS ?= 900
# What `make run` hands to `aegis up`.
ARGS ?= --demo

export JOBS FUZZ_SECONDS LINT_SECONDS

.PHONY: help setup build run demo-envoy test test-unit lint format bench fuzz sanitize clean distclean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  ARGS='--demo'       make run: the arguments of 'aegis up'"
	@echo "  ONLY='unit rego'    make test: only these stages (unit go rego python)"
	@echo "  SCENARIOS='inproc'  make bench: only these scenarios; QUICK=1 for short, rough runs"
	@echo "  FUZZ_SECONDS=60     make fuzz: seconds for each target; TARGETS='json jwt' for some only"

setup: ## install what building, testing and linting need (Debian 12)
	@scripts/setup build test lint

build: ## set up and build the aegis program into build/release/bin
	@scripts/setup build
	@scripts/build program

run: build ## set up, build and start the demo (aegis up --demo)
	@exec build/release/bin/aegis up $(ARGS)

demo-envoy: build ## set up, build and start the demo behind a real Envoy
	@scripts/setup envoy
	@exec scripts/demo_envoy

test: ## set up, build and run every test
	@scripts/setup build test
	@scripts/build tests
	@scripts/test $(ONLY)

test-unit: ## build and run the C++ unit tests
	@scripts/setup build test
	@scripts/build tests
	@scripts/test unit

lint: ## check formats and run the linters of every language
	@scripts/setup build test lint
	@scripts/lint

format: ## format every file in place
	@scripts/setup lint
	@scripts/format

bench: ## measure Aegis beside OPA and nginx; results in bench/results
	@scripts/setup build test bench
	@scripts/build bench
	@scripts/bench

fuzz: ## run each fuzz target for FUZZ_SECONDS
	@scripts/setup build test fuzz
	@fuzz/run.sh

sanitize: ## build and run the unit tests with address+undefined and thread sanitizers
	@scripts/setup build test fuzz
	@scripts/sanitize

clean: ## remove what was built; keeps installed tools (build/deps)
	@if [ -d build ]; then find build -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} +; fi

distclean: ## remove everything that was built or fetched
	@if [ -d build ]; then chmod -R u+w build && rm -rf build; fi
