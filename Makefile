# Every command a person or CI runs. `make help` lists them.
SHELL := /bin/bash
VENV  := .venv
PY    := $(VENV)/bin/python
.DEFAULT_GOAL := help
.PHONY: help setup images demo cluster chaos test test-cluster test-store test-compose image lint types imports unit wheel services test-crash test-v2 test-power clean run bench bench-tools bench-latency bench-throughput bench-cold bench-overload bench-idle bench-start bench-cli bench-cluster bench-docker bench-fleet bench-placement bench-bus

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: ## make the environment in .venv and install what is missing
	@scripts/setup

demo: setup ## start a platform, deploy and call everything under examples/, show the answers (CLUSTER=1: a fleet)
	@$(if $(CLUSTER),scripts/services prepare,true)
	@scripts/delegated $(PY) scripts/demo.py $(if $(CLUSTER),--cluster)

chaos: setup ## faults of every kind under load on a whole fleet, as root (ROUNDS=20 of every kind, SEED=... CONTAINERS=docker)
	@scripts/services prepare
	@$(PY) scripts/storm.py --rounds $(or $(ROUNDS),20) $(if $(SEED),--seed $(SEED)) --containers $(or $(CONTAINERS),process)

test-cluster: setup ## the API suite and the tests of a fleet against real Kafka, Consul and CouchDB's stand-in
	@scripts/services prepare
	@$(PY) -m pytest tests/cluster tests/chaos -q

cluster: setup ## a whole fleet on this machine from real parts, until Ctrl-C
	@scripts/services prepare
	@$(PY) scripts/cluster.py

images: setup ## build the runtimes' images in the container engine (DOCKER_HOST, KIND=python:3.12, BASE=image)
	@$(VENV)/bin/upwhisk admin images $(foreach kind,$(KIND),--kind $(kind)) $(foreach base,$(BASE),--base $(base))

run: setup ## start a platform on http://127.0.0.1:3233 with its data in ./data
	@scripts/delegated $(VENV)/bin/upwhisk standalone --data data

test: setup ## everything CI runs: lint, types, import contracts, all tests, the wheel
	@scripts/test

test-store: setup ## the store's suites and the API tests on CouchDB (UPWHISK_TEST_COUCHDB=http://user:password@host:port)
	@scripts/test_store

lint: setup ## style
	@$(VENV)/bin/ruff check .

types: setup ## strict mypy over source and tests
	@scripts/types

imports: setup ## import contracts between the rooms
	@$(VENV)/bin/lint-imports

unit: setup ## the fast tests alone
	@$(PY) -m pytest tests/unit tests/layout tests/contracts -q -m "not sandbox and not external_service"

wheel: setup ## build the wheel, install it in an empty directory, try it there
	@$(PY) scripts/wheel_test.py

services: setup ## fetch and build the real Kafka, Consul, Docker... that tests use (make test does it too)
	@scripts/services prepare

test-crash: setup ## kill -9 at random moments under load, as root (ROUNDS=200 IDS=500 SEED=...)
	@$(PY) scripts/crash_rounds.py --rounds $(or $(ROUNDS),200) --ids $(or $(IDS),500) $(if $(SEED),--seed $(SEED))

test-compose: setup ## the fleet of compose/ in containers from local builds, and the units under systemd (root, Debian; 10 minutes)
	@scripts/services prepare docker kafka consul couchdb compose
	@scripts/services apart -- $(PY) -m pytest tests/compose/suite_*.py -q

image: ## build the project's image, upwhisk:VERSION
	docker build --build-arg REVISION=$$(git rev-parse HEAD) -t upwhisk:$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) .

test-v2: setup ## the sandbox on cgroup v2, in a virtual machine without acceleration (root, Debian; some minutes)
	@$(PY) -m pytest tests/vm/suite_v2.py -q -s -p no:cacheprovider

test-power: setup ## power cuts of a virtual machine while its store works (root, Debian; ROUNDS=3)
	@UPWHISK_TEST_ROUNDS=$(or $(ROUNDS),3) $(PY) -m pytest tests/vm/suite_power.py -q -s -p no:cacheprovider

clean: ## remove what the commands above made
	rm -rf $(VENV) .make dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

bench-tools: setup
	@benchmarks/tools

bench: bench-latency bench-throughput bench-cold bench-overload bench-idle bench-start bench-cli bench-placement ## all benchmarks, about 9 minutes

bench-latency: bench-tools ## latency that the platform adds to a warm call
	@$(PY) benchmarks/bench_latency.py

bench-throughput: bench-tools ## warm calls per second by number of callers
	@$(PY) benchmarks/bench_throughput.py

bench-cold: bench-tools ## first call of a new action, by runtime
	@$(PY) benchmarks/bench_cold.py

bench-overload: bench-tools ## goodput and refusals at five times the peak
	@$(PY) benchmarks/bench_overload.py

bench-docker: setup ## first calls in Docker containers beside the engine's own starts (DOCKER_HOST, make images)
	@$(PY) benchmarks/bench_docker.py

bench-idle: bench-tools ## memory and CPU of an idle platform
	@$(PY) benchmarks/bench_idle.py

bench-start: bench-tools ## from exec to ready
	@$(PY) benchmarks/bench_start.py

bench-cluster: bench-tools ## a warm call through Kafka, a node and CouchDB's stand-in (CONTAINERS=docker)
	@scripts/services prepare
	@$(PY) benchmarks/bench_cluster.py --containers $(or $(CONTAINERS),process)

bench-fleet: bench-tools ## two controllers and four nodes at five times their peak; a node joins, one dies
	@scripts/services prepare
	@$(PY) benchmarks/bench_fleet.py

bench-cli: bench-tools ## wall time of simple commands
	@$(PY) benchmarks/bench_cli.py

bench-placement: setup ## one placement decision among 1 to 10,000 nodes, by policy
	@$(PY) benchmarks/bench_placement.py

bench-bus: setup ## one hop over a real Kafka: latency, rate, CPU (needs make services)
	@$(PY) benchmarks/bench_bus.py
