PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# The tests that start nothing: no server, no browser, no other run. They compute, so they get one worker a core.
PURE := -n 2 -m "not long and not server and not kafka and not container and not browser and not subprocess"
# As many tests of one kind that each of them is cheap and all together take minutes.
LONG := -n 2 -m long
# Tests with servers wait far longer than they compute.
SERVERS := -n 4 -m "(server or container or browser or subprocess) and not kafka"
# An Apache Kafka takes as much memory as all the rest: one a worker.
KAFKA := -n 2 -m kafka

.PHONY: setup conformance conformance-kafka kafka test test-all test-kafka mutants spec-mutants screenshots bench bench-bindings steadiness spec-diff lint types layers flakes check
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
	HYPOTHESIS_PROFILE=quick $(PYTEST) $(PURE)
	$(BIN)/pytest -n 4 --ampybus-conformance --ampybus-binding nats

test-all: setup
	$(MAKE) kafka || echo "Apache Kafka cannot run here: its tests are skipped, each with the reason"
	$(PYTEST) $(PURE)
	$(PYTEST) $(LONG)
	$(PYTEST) $(SERVERS)
	$(PYTEST) $(KAFKA)
	$(BIN)/ampybus mutants
	$(BIN)/ampybus mutants --spec

test-kafka: setup
	$(PYTEST) $(KAFKA)

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
	$(BIN)/python -m ampybus_contract.benchmark patterns

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

flakes: setup
	$(BIN)/python -m tests.flakes

check: lint types layers flakes
