# Everything that is done with this repository, by name: `make help` lists it.
# Each target does what it needs first, and skips what is already done.

SHELL       := /bin/bash
PYTHON      ?= python3
VENV        := .venv
BIN         := $(VENV)/bin
STAMP       := $(VENV)/.installed
CLUSTER     := $(PYTHON) -m tests.cluster
CONTROLLER  := tests/integration/controller
PYTEST_ARGS ?=
DEMO_ARGS   ?=
SERVICES_ARGS ?=
BENCH_ARGS  ?=
SOAK_ARGS   ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help venv packages format lint unit integration crashes bad-states faults soak describes e2e test cluster cluster-down cluster-purge images gateway install demo record services bench-services bench-services-memory bench-services-indexes bench-services-sessions bench-traffic bench-scale lock clean bench-statistics

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-23s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

venv: $(STAMP) ## Install the pinned development packages into .venv
$(STAMP): requirements/dev.txt pyproject.toml
	@echo "Installing into $(VENV): about a minute with an empty cache"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

packages: ## Install PostgreSQL, which tests start as a process (Debian, as root; else says what is missing)
	@if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing the package postgresql"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null; \
	else echo "PostgreSQL is missing, so its tests are skipped. On Debian: sudo apt-get install postgresql"; fi

format: venv ## Format the code and apply the safe fixes
	$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

lint: venv ## Check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: venv ## Test without a cluster and without processes: two to three minutes
	$(BIN)/pytest tests/unit $(PYTEST_ARGS)

bench-statistics: venv ## Guardrails and the peers' rules on the same traffic, bars, picture: minutes (BENCH_ARGS=--quick)
	@PYTHONPATH=operator:. $(BIN)/python -m tests.bench.statistics $(BENCH_ARGS)

integration: venv packages ## Test with real processes (services, PostgreSQL, API server, Prometheus)
	$(BIN)/pytest tests/integration $(PYTEST_ARGS)

crashes: venv packages ## Kill the operator before and after every single write of three runs (CRASH_POINTS=1000: all of them)
	CRASH_POINTS=$${CRASH_POINTS:-1000} $(BIN)/pytest -s tests/integration/controller/test_crashes.py $(PYTEST_ARGS)

faults: venv packages ## API server, Prometheus and the operator's process misbehave, as a table: 20 min (FAULTS= is shorter)
	FAULTS=$${FAULTS-whole} $(BIN)/pytest -s $(addprefix tests/integration/controller/,test_faults.py test_faults_prometheus.py) $(PYTEST_ARGS)

soak: venv ## Does anything grow: six simulated weeks, then an hour of the real operator (SOAK_ARGS='--duration 10m')
	@$(BIN)/python -m tests.bench.soak weeks
	@$(BIN)/python -m tests.bench.soak hour $(SOAK_ARGS)

describes: venv ## Some thirty situations as kubectl describe has them, into a folder, for a reader who has nothing else
	@$(BIN)/python -m tests.bench.describes --out $${OUT:-build/describes}

bad-states: venv packages ## Mutate every property of the CRD on a running experiment
	$(BIN)/pytest -s tests/integration/controller/test_bad_states.py $(PYTEST_ARGS)

e2e: venv images ## Test whole rollouts on the real cluster, through a gateway too where it is built (make gateway)
	@$(CLUSTER) gateway-if-built
	$(BIN)/pytest tests/e2e $(PYTEST_ARGS)

# Three runs: what waits for a program of its own shares the cores, what is under load has them alone, and so has the cluster.
# Files begin in the order in which they are given, and not those with the most tests first: the longest have few.
test: lint packages images ## Check and test everything: lint, unit, integration, e2e
	@$(CLUSTER) binaries >/dev/null
	@code=0; \
	$(BIN)/pytest --numprocesses=3 --dist=loadfile --no-loadscope-reorder $(CONTROLLER) tests/unit $(PYTEST_ARGS) || code=$$?; \
	$(BIN)/pytest tests/integration --ignore=$(CONTROLLER) $(PYTEST_ARGS) || code=$$?; \
	$(BIN)/pytest tests/e2e $(PYTEST_ARGS) || code=$$?; \
	exit $$code

cluster: ## Start the real cluster (kind), or heal it; says what to export
	@$(CLUSTER) up

cluster-down: ## Delete the cluster; what it was made from stays
	@$(CLUSTER) down

cluster-purge: ## Delete the cluster, its cache and its images
	@$(CLUSTER) purge

images: venv cluster ## Build the images and put them into the cluster
	@$(CLUSTER) images
	@$(CLUSTER) load

gateway: cluster ## Build Envoy Gateway (17 min the first time) and put it in front of the cluster, on port 30080
	@$(CLUSTER) gateway

install: venv ## Install Serin, Prometheus and the two services into the cluster
	@$(BIN)/python -m tests.demo --install-only

demo: venv ## Cluster, Serin, two services under load, three experiments, live
	@$(BIN)/python -m tests.demo $(DEMO_ARGS)

record: venv ## The demo, and what kubectl shows in every phase, into docs/phases
	@$(BIN)/python -m tests.demo --record docs/phases $(DEMO_ARGS)

services: venv ## Start both services on this machine, on SQLite with synthetic data; says how to call them
	@$(BIN)/python -m tests.local $(SERVICES_ARGS)

bench-services: venv packages ## Both engines under load: P50/P95/P99, errors, CPU, memory, the highest rate
	@$(BIN)/python -m tests.bench.services latency $(BENCH_ARGS)

bench-services-memory: venv packages ## An hour of load (BENCH_ARGS='--duration 10m'): is memory flat, what grows
	@$(BIN)/python -m tests.bench.services memory $(BENCH_ARGS)

bench-services-indexes: venv packages ## Batches: statements, plans and times with and without the indexes
	@$(BIN)/python -m tests.bench.services indexes $(BENCH_ARGS)

bench-services-sessions: venv ## Memory of 1,000 conversations of 20 turns against their full history
	@$(BIN)/python -m tests.bench.services sessions $(BENCH_ARGS)

bench-traffic: venv ## On the cluster with its gateway: requests lost by switching, exactness, speed, sticky users
	@$(BIN)/python -m tests.bench.traffic switching --router HTTPRoute $(BENCH_ARGS)
	@$(BIN)/python -m tests.bench.traffic switching --router Replicas $(BENCH_ARGS)
	@$(BIN)/python -m tests.bench.traffic sticky
	@$(BIN)/python -m tests.bench.traffic first

bench-scale: venv ## 100, 1,000 and 5,000 experiments on a real control plane: lag, CPU, requests (BENCH_ARGS='--sizes 20,100,300': peers)
	@PYTHONPATH=operator:. $(BIN)/python -m tests.bench.scale $(BENCH_ARGS)

lock: venv ## Pin every dependency again, with hashes
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	requirements/compile

clean: ## Remove the environment and what tools leave behind
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
