PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup conformance test lint types layers check
setup: .venv/ready

.venv/ready: pyproject.toml .constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --progress-bar off -c .constraints.txt -e '.[dev]'
	touch $@

conformance: setup
	$(BIN)/pytest --ampybus-conformance
	$(BIN)/pytest --ampybus-conformance --ampybus-binding nats

test: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

layers: setup
	$(BIN)/lint-imports

check: lint types layers
