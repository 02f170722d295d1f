BIN := .venv/bin
JOBS ?= 2
PYTEST = $(BIN)/python -m pytest -n $(JOBS) $(PYTEST_ARGS)

.PHONY: help env demo lint test test-slow bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

env: ## install what is missing: system packages, .venv, the project in it
	@scripts/setup.sh

demo: env ## train a small network on a simulated chip
	$(BIN)/lns demo

lint: ## style and types
	@scripts/setup.sh test
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint ## style, types and the quick tests
	$(PYTEST) -m "not slow"

test-slow: ## the long proofs, sweeps and trainings
	@scripts/setup.sh test
	$(PYTEST) -m slow --timeout=1800

bench: ## every speed against float32, other packages and its own bound, into runs/bench
	@scripts/setup.sh bench
	$(BIN)/python -m benchmarks.run $(BENCH_ARGS)

clean: ## remove what builds and tests left behind; .venv and runs/ stay
	rm -rf build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -path ./.venv -prune -o -path ./.git -prune -o -type d \( -name __pycache__ -o -name sim_build \) -prune -exec rm -rf {} +
