# What a person types. `make` alone lists it; every target brings what it needs (see infra/local/bootstrap.sh).
SHELL := /bin/bash
.DEFAULT_GOAL := help

SOURCE ?= conf/sources/complete_journey.yaml
DATA ?=
MEMBERS ?=
SEED ?=
HISTORICAL ?=
WORK ?= var/demo
SIZE ?= full
PORT ?= 8000
ARGS ?=
ONLY ?=
EVENTS ?=
NOISY ?=
PROCESSES ?= 2

BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export RAY_USAGE_STATS_ENABLED := 0
# Containers often set it. Then every process compiles torch, transformers and Ray anew: 33 instead of 14 s of processor
# time before a training can begin, and each worker again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\n  make demo SOURCE=YAML DATA=DIR WORK=DIR   the same for your own data; SIZE=smoke for small models\n'
	@printf '  make demo SOURCE=conf/sources/simulated.yaml MEMBERS=20000 SEED=1 WORK=DIR   a shop whose truth is known\n'

.PHONY: setup
setup: ## bring uv, Java, the Python environment and the jars
	@bash infra/local/bootstrap.sh

.PHONY: demo
demo: setup ## landing files to answers over HTTP and WORK/report.html, by the documented commands
	@python infra/local/demo.py --source '$(SOURCE)' --work '$(WORK)' --size $(SIZE) $(if $(DATA),--data '$(DATA)') \
		$(if $(MEMBERS),--members $(MEMBERS)) $(if $(SEED),--seed $(SEED)) $(if $(HISTORICAL),--historical $(HISTORICAL))

.PHONY: test
test: setup check ## linters, type checker, fences, a check of the documented commands and all fast tests, in PROCESSES=2 at once
	pytest -m "not long" -n $(PROCESSES) --dist loadfile $(ARGS)

.PHONY: check
check: setup ## linters, type checker and fences alone
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-cache

.PHONY: test-long
test-long: setup ## the tests that take minutes
	pytest -m long $(ARGS)

.PHONY: test-gpu
test-gpu: setup ## the tests that need a CUDA device; they skip with a reason where there is none
	pytest -m gpu $(ARGS)

.PHONY: smoke
smoke: setup ## a few tests that touch every room, in under three minutes
	pytest -m smoke $(ARGS)

.PHONY: bench-data
bench-data: setup ## the data jobs against their peers: ONLY=P1 one of them, EVENTS=1000000 a size, NOISY=1 on a busy machine
	@python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(EVENTS),--events $(EVENTS)) $(if $(NOISY),--noisy)

.PHONY: format
format: setup ## format the code and fix what can be fixed
	ruff format .
	ruff check --fix .

.PHONY: dictionary
dictionary: setup ## write docs/data_dictionary.md from the contracts
	python -m tenure.contracts.dictionary docs/data_dictionary.md

.PHONY: dist
dist: setup ## the wheel, the zip for --py-files, the jars and the requirements of each extra, in dist/
	bash infra/local/dist.sh

.PHONY: ray-up
ray-up: setup ## start a Ray cluster of this machine, with token authentication
	@python infra/local/ray_cluster.py start --work '$(WORK)'

.PHONY: ray-down
ray-down: ## stop that cluster and nothing else
	@python infra/local/ray_cluster.py stop --work '$(WORK)'

.PHONY: serve
serve: setup ## serve the models of WORK over HTTP until Ctrl-C
	@bash infra/local/serve.sh '$(WORK)' $(PORT)

.PHONY: clean
clean: ray-down ## remove what was built, tested or demonstrated; the environment and the jars stay
	rm -rf dist build var/demo var/logs .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
