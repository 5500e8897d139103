# Every command a person or CI runs. `make help` lists them.
SHELL := /bin/bash
VENV  := .venv
PY    := $(VENV)/bin/python
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types imports unit wheel test-crash test-v2 test-power clean run

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: ## make the environment in .venv and install what is missing
	@scripts/setup

demo: setup ## start a platform, deploy and call everything under examples/, show the answers
	@scripts/delegated $(PY) scripts/demo.py

run: setup ## start a platform on http://127.0.0.1:3233 with its data in ./data
	@scripts/delegated $(VENV)/bin/upwhisk standalone --data data

test: setup ## everything CI runs: lint, types, import contracts, all tests, the wheel
	@scripts/test

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

clean: ## remove what the commands above made
	rm -rf $(VENV) .make dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
