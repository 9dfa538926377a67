# Two commands to know: `make demo` shows the harness at work, `make test` is everything that CI runs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN := $(BIN)/auharness run --protocol bp4d-3fold
TESTS ?=

.PHONY: demo test nightly check format clean

demo: $(VENV)/.core
	$(RUN) --model constant --quiet
	$(RUN) --model pixel-probe
	$(RUN) --model au-ttt
	@cat runs/leaderboard/bp4d-3fold.md

test: check
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(TESTS)

nightly: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m nightly $(TESTS)
	$(BIN)/python -m pytest -n 2 --dist loadgroup --fault-factor 10 tests/faults

# every check that is not a test
check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy harness/auharness plugins/auharness_plugins
	$(BIN)/lint-imports
	$(BIN)/auharness leaderboard check

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/.core: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

# one resolve for all extras: a later one could replace torch; mediapipe's own pins (numpy<2, jax) are left out on purpose
$(VENV)/.dev: $(VENV)/.core
	$(BIN)/python -m pip install --quiet -e ".[all,dev]"
	$(BIN)/python -m pip install --quiet --no-deps "mediapipe==0.10.21"
	$(BIN)/python -m pip install --quiet absl-py attrs flatbuffers "protobuf>=6.31.1,<7"
	@touch $@

clean:
	rm -rf $(VENV) runs dist .mypy_cache .ruff_cache .pytest_cache
