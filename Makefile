# make demo: the main job, on real data.   make test: every test.   make lint: what has to be clean.
# make test-faults: faults at every point of the log's way, for as long as ARGS='--seconds 3600 --seed 7' says.
# make docs: the pages of docs/ that are generated from the code.   make clean
#
# Each makes .venv first, with PYTHON, at the versions of constraints.txt. ARGS is passed on: make test ARGS='-k ttl'.

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PINS := pyproject.toml constraints.txt
CHROMIUMS := chromium chromium-browser google-chrome google-chrome-stable
SUPPORTED = import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))

.PHONY: demo test test-faults lint docs clean constraints
.DELETE_ON_ERROR:

demo: $(VENV)/demo.stamp
	@$(BIN)/skew demo $(ARGS)

test: $(VENV)/dev.stamp
	@$(browser)
	@$(BIN)/python -m pytest -n auto $(ARGS)

test-faults: $(VENV)/dev.stamp
	@$(BIN)/python -W ignore -m tests.faults $(ARGS)

lint: $(VENV)/dev.stamp
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: $(VENV)/dev.stamp
	@$(BIN)/python -m tests.reference

$(VENV)/bin/pip:
	@$(PYTHON) -c 'pass' || { echo "skew_ext needs Python 3.10 to 3.13, and $(PYTHON) does not run; name one: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c '$(SUPPORTED)' || { echo "skew_ext needs Python 3.10 to 3.13, and $(PYTHON) is $$($(PYTHON) -V 2>&1); name another: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

# pip is what venv makes last: one that was interrupted is made again.
# Two stamps, so that the demo does not wait for what only the tests need. What the tests install holds the demo's.
$(VENV)/demo.stamp: $(PINS) | $(VENV)/bin/pip
	$(call install,demo)
	@touch $@

$(VENV)/dev.stamp: $(PINS) | $(VENV)/bin/pip
	$(call install,dev)
	@touch $@ $(VENV)/demo.stamp

# The tests of the report's page need a Chromium: the machine's, or else the one that Playwright downloads, once, or
# else, as root on Debian, the distribution's.
define browser
for program in $(CHROMIUMS); do command -v $$program > /dev/null && exit 0; done; \
test -z "$$SKEW_TEST_CHROMIUM" || exit 0; \
$(BIN)/playwright install --only-shell chromium > $(VENV)/browser.log 2>&1 && exit 0; \
test "$$(id -u)" = 0 && apt-get --version > /dev/null 2>&1 && echo "Installing Debian's chromium" \
  && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium fonts-liberation \
  > $(VENV)/browser.log 2>&1 && exit 0; \
echo "the tests need a Chromium, and none could be had (see $(VENV)/browser.log): install one, or name it in SKEW_TEST_CHROMIUM" >&2; exit 1
endef

define install
@echo "Installing skew-ext[$(1)] into $(VENV)"
@$(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 -c constraints.txt -e '.[$(1)]'
endef

# Pins for every Python that we support, from the present releases; needs uv on PATH. Keeps the header.
constraints:
	@sed '/^[^#]/,$$d' constraints.txt > constraints.new
	@uv pip compile --quiet --universal --python-version 3.10 --extra dev --no-annotate --no-header --no-emit-index-url pyproject.toml >> constraints.new
	@mv constraints.new constraints.txt

clean:
	@rm -rf $(VENV) build dist skew-demo *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
