# Everything here is a file of scripts/; CONTRIBUTING.md says what each is for.
.DEFAULT_GOAL := help
.PHONY: help run test test-all check lint coverage docs build clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run:  ## serve the example chat on http://127.0.0.1:8000 (PORT=, HOST=, REDIS_URL=)
	@scripts/run

test:  ## style, types, tests: some 20 minutes; installs a missing Redis or Chromium as root, where it may
	@scripts/test

test-all:  ## the same, with the slow tests, coverage and more; PART=covered, slow, plain or matrix runs one part of it
	@scripts/test $(if $(PART),--part $(PART),--all)

check:  ## style and types only
	@scripts/check

lint:  ## mend what ruff can mend
	@scripts/lint

coverage:  ## the report of the last make test-all PART=covered, and its gate
	@scripts/coverage

docs:  ## build the documentation into .cache/site, warnings as errors (scripts/docs serve shows it)
	@scripts/docs

build:  ## wheel and sdist into dist/
	@scripts/build

clean:  ## remove what the scripts made, the virtual environments too
	rm -rf .venv .cache .coverage .coverage.* htmlcov dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: bench soak
bench:  ## measure it against its peers (CASE=A1,C PEERS=… REPEAT=3); see bench/README.md
	@bench/bench.sh "$(CASE)" "$(PEERS)"

soak:  ## clients that come and go for an hour, over each Redis layer: writes bench/SOAK.md (MINUTES=, LAYERS=pubsub,queue)
	@bench/prepare client ours && .cache/bench/client/bin/python -m bench.soak $(MINUTES) $(if $(LAYERS),--layers $(LAYERS))
