PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup conformance conformance-kafka kafka test test-kafka mutants spec-mutants bench bench-bindings spec-diff lint types layers check
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
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore-glob='*/test_kafka_*'

test-kafka: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/test_kafka_*.py

mutants: setup
	$(BIN)/ampybus mutants

spec-mutants: setup
	$(BIN)/ampybus mutants --spec

bench: setup
	$(BIN)/pip install --progress-bar off -q -c .constraints.txt -e '.[bench]'
	$(BIN)/python -m ampybus_contract.benchmark validators
	$(BIN)/python -m ampybus_contract.benchmark histories
	$(BIN)/python -m ampybus_contract.benchmark simulation

bench-bindings: setup kafka
	$(BIN)/python -m ampybus_contract.benchmark bindings --broker nats
	$(BIN)/python -m ampybus_contract.benchmark bindings --broker kafka
	$(BIN)/python -m ampybus_contract.benchmark memory --broker nats

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
