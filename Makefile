PYTHON ?= python3
BIN := .venv/bin
# Tests wait for brokers far longer than they compute.
PYTEST := $(BIN)/python -m pytest -n 4 --dist loadfile

.PHONY: setup conformance conformance-kafka kafka test test-kafka mutants spec-mutants screenshots bench bench-bindings steadiness spec-diff lint types layers check
setup: .venv/ready

.venv/ready: pyproject.toml .constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --progress-bar off -c .constraints.txt -e '.[dev]'
	touch $@

conformance: setup
	$(BIN)/pytest --ampybus-conformance
	$(BIN)/pytest --ampybus-conformance --ampybus-binding nats

conformance-kafka: setup kafka
	$(BIN)/pytest --ampybus-conformance --ampybus-binding kafka

kafka: setup
	$(BIN)/python -m ampybus_contract.brokers.kafka_distribution

test: setup
	$(PYTEST) --ignore-glob='*/test_kafka_*'

test-kafka: setup
	$(PYTEST) tests/*/test_kafka_*.py

mutants: setup
	$(BIN)/ampybus mutants

spec-mutants: setup
	$(BIN)/ampybus mutants --spec

screenshots: setup
	$(BIN)/python -m ampybus_contract.report.screenshots

bench: setup
	$(BIN)/pip install --progress-bar off -q -c .constraints.txt -e '.[bench]'
	$(BIN)/python -m ampybus_contract.benchmark validators
	$(BIN)/python -m ampybus_contract.benchmark histories
	$(BIN)/python -m ampybus_contract.benchmark simulation

bench-bindings: setup kafka
	$(BIN)/python -m ampybus_contract.benchmark bindings --broker nats
	$(BIN)/python -m ampybus_contract.benchmark bindings --broker kafka
	$(BIN)/python -m ampybus_contract.benchmark memory --broker nats

steadiness: setup kafka
	$(BIN)/python -m ampybus_contract.benchmark steadiness
	$(BIN)/python -m ampybus_contract.benchmark steadiness -- --ampybus-binding nats
	$(BIN)/python -m ampybus_contract.benchmark steadiness --runs 20 -- --ampybus-binding kafka
	$(BIN)/python -m ampybus_contract.benchmark steadiness --runs 20 -- --ampybus-binding kafka --ampybus-broker embedded:kafka-light

spec-diff: setup
	@tag=$$(git describe --tags --abbrev=0 2>/dev/null) && $(BIN)/ampybus spec diff "$$tag" spec \
	  || { test -z "$$tag" && echo "no tag yet: there is no earlier contract to compare with"; }

lint: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

layers: setup
	$(BIN)/lint-imports

check: lint types layers
