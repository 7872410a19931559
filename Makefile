# Lockstep. `make help` lists the targets.
PYTHON ?= python3
BASE ?= cpython@3.13.5+nocow
HEAD ?= cpython@3.13.5
BUDGET ?= 5m
MINUTES ?= 20
BENCH ?=
SEED ?=
REPEATS ?= 2

BIN := .venv/bin
LOCKSTEP := $(BIN)/lockstep
READY := .venv/.ready

.PHONY: help setup builds source-repo ab publish calibrate rivals design-space pyperformance detection bpo22003 nights pictures test unit live browser costs fleet-scaling scale load verdicts fuzz lint clean
.DEFAULT_GOAL := help

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with the command .venv/bin/lockstep

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Lockstep needs Python 3.11 or later; $(PYTHON) is older. Try: make PYTHON=python3.12 setup" >&2; exit 2; }
	@$(PYTHON) -m venv .venv || { echo "Python's venv module is missing; on Debian: apt-get install python3-venv" >&2; exit 2; }
	$(BIN)/pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

builds: setup ## Make the two builds of BytesIO that `ab` compares
	$(LOCKSTEP) build $(BASE) $(HEAD)

source-repo: setup ## Make .asv/source, a git repository of CPython with a branch for each variant, for asv
	$(LOCKSTEP) source-repo

ab: setup ## Compare BytesIO without and with copy-on-write (BASE=, HEAD=, BENCH=REGEX, SEED=, BUDGET=10m; BUDGET= for no limit)
	$(LOCKSTEP) ab '$(BASE)' '$(HEAD)' $(if $(BENCH),-b '$(BENCH)') $(if $(BUDGET),--budget $(BUDGET)) $(if $(SEED),--seed $(SEED)) \
	  || [ $$? -eq 1 ]  # 1 says that something became slower: a result, not a failure

publish: setup ## Make the site of all runs in data/site, with asv's pages beside
	$(LOCKSTEP) publish

calibrate: setup ## Prove the verdicts on this machine, and put the result into docs/method.md (MINUTES=20)
	$(LOCKSTEP) calibrate '$(HEAD)' --minutes $(MINUTES) --markdown docs/method.md

rivals: MINUTES = 30
rivals: setup ## Measure Lockstep against pyperf, asv and hyperfine, adding to what is stored, and write docs/evidence.md (MINUTES=30)
	PYTHONPATH=tests:. $(BIN)/python -m rivals --minutes $(MINUTES)

design-space: MINUTES = 60
design-space: setup ## Measure what bpo-22003 weighed for BytesIO, adding to what is stored, and write docs/design-space.md (MINUTES=60)
	PYTHONPATH=tests:. $(BIN)/python -m design_space --minutes $(MINUTES)

pyperformance: MINUTES = 60
pyperformance: BUDGET = 20m
pyperformance: setup ## Measure pyperformance between builds of which something is known, adding to what is stored, and write docs/pyperformance.md and into docs/evidence.md (MINUTES=60, BUDGET=20m for each comparison, VERSIONS="OLDER NEWER")
	PYTHONPATH=tests:. $(BIN)/python -m pyperformance_study --minutes $(MINUTES) --budget $(BUDGET) $(if $(VERSIONS),--versions $(VERSIONS))

pictures: setup ## Make the pictures of the pages in docs/pictures, light and dark, from a made-up history (needs Chromium)
	PYTHONPATH=tests/unit:tests/browser:. $(BIN)/python docs/pictures/pages.py

detection: setup ## Simulate years of nights, beside the rules of others, and write docs/detection.md (some minutes; goes on where it was)
	PYTHONPATH=tests:. $(BIN)/python -m detection

bpo22003: MINUTES = 5
bpo22003: setup ## Measure cStringIO of Python 2.7 and BytesIO of 2.7 to 3.13, adding to what is stored, and telco once, and write docs/bpo-22003.md (MINUTES=5)
	PYTHONPATH=tests:. $(BIN)/python -m bpo22003 --minutes $(MINUTES)

test: lint unit live browser ## Run all tests, after making what they need

# Where this is set, each command that a test starts would compile all of ours anew, which takes longer than the rest.
unit live browser: export PYTHONDONTWRITEBYTECODE =

unit: setup ## Run the tests that start no process
	$(PYTEST) -n auto --dist worksteal tests/unit

# Tests of real processes, which the machine may hold up for seconds. Those that failed, if the rest has run to its end
# (exit code 1), are run once more with nothing beside. What fails twice is a fault; the first failure stays in the output.
# Not at once and beside others (pytest-rerunfailures): it would meet what held it up, and what its module had measured.
# $(1): which tests; $(2): how they share the machine.
PYTEST := $(BIN)/python -m pytest -q
twice = $(PYTEST) -o cache_dir=.pytest_cache/$@ $(1) $(2) || { [ $$? -eq 1 ] && \
	  echo "=== failed once, and run again alone:" && $(PYTEST) -o cache_dir=.pytest_cache/$@ $(1) -v --lf --lfnf none; }

# Two at a time, each on a core of its own where there are two; else what uses the machine waits for its turn there.
live: builds ## Run the tests with real interpreters and builds; some of them alone
	$(call twice,tests/live -m "not alone",-n 2 --dist loadfile --no-loadscope-reorder)
	$(call twice,tests/live -m alone)

browser: setup ## Run the tests of the pages in Chromium, where it is installed
	$(call twice,tests/browser,-n 2 --dist loadfile)

costs: setup ## Measure what publishing 1000 runs, an index of a year and its pages, a run of 10 000 benchmarks, and `continuous` cost
	PYTHONPATH=. $(BIN)/python tests/costs/publish.py
	PYTHONPATH=. $(BIN)/python tests/costs/history.py
	PYTHONPATH=. $(BIN)/python tests/costs/across.py
	PYTHONPATH=. $(BIN)/python tests/costs/show.py
	PYTHONPATH=. $(BIN)/python tests/costs/continuous.py

fleet-scaling: setup ## Measure what a fleet of 1 to 16 machines loses, with simulated block times (some minutes)
	PYTHONPATH=. $(BIN)/python tests/costs/fleet.py

scale: setup ## Fill indexes with up to 36.5 million rows, in SQLite and PostgreSQL, and write docs/scale.md (goes on where it was; 20 minutes, 6 GiB)
	PYTHONPATH=tests:tests/unit:. $(BIN)/python -m scale

load: setup ## Load a server: a night of 50 machines with 500 benchmarks each within a minute, and readers meanwhile
	PYTHONPATH=tests:tests/unit:. $(BIN)/python tests/costs/load.py

verdicts: setup ## Measure what verdicts on ten small workloads cost: equal, 1 % and 0.5 % apart (PYTHON=, three sessions)
	PYTHONPATH=. $(BIN)/python tests/costs/verdicts.py "$$(command -v $(PYTHON))"

fuzz: EXAMPLES = 10000
fuzz: MINUTES = 120
fuzz: setup ## Send a server what fits its OpenAPI document, or just does not, and archives of all kinds (EXAMPLES=10000 of each, MINUTES=120 at most)
	PYTHONPATH=tests:. $(BIN)/python -m fuzzing --examples $(EXAMPLES) --minutes $(MINUTES)

nights: MINUTES = 60
nights: setup ## Nights in a row on eight commits of CPython with known effects, searches over them, and kills, going on where it was; docs/nights.md (MINUTES=60, REPEATS=2)
	PYTHONPATH=tests:. $(BIN)/python -m nights --minutes $(MINUTES) --repeats $(REPEATS)

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

clean: ## Remove what was made here, except the measured runs (the build cache: `lockstep build --remove`)
	rm -rf .venv .asv build .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
