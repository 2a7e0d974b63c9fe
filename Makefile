# Each target makes what it needs first: exiftool and Python by the system's package manager where they are missing, a
# virtual environment, and the packages that constraints.txt names.
#   make demo                       the whole chain on simulated photographs
#   make demo PIP_ARGS="..."        further words for pip, such as an index with CPU builds of torch (see README.md)
VENV := .venv
BIN := $(VENV)/bin
PIP_ARGS ?=
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
SOURCES := pipelines assets models warehouse benchmarks tests

.PHONY: demo ui test test-slow lint clean

demo: $(VENV)/.installed
	$(BIN)/sdaie demo

ui: $(VENV)/.installed
	$(BIN)/sdaie ui

lint: $(VENV)/.installed-test
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

# Two test processes, and those that they start, share the cores: more threads than one each wait for one another.
test test-slow: export OMP_NUM_THREADS := 1
test test-slow: export OMP_WAIT_POLICY := PASSIVE
test: lint
	$(BIN)/pytest -n 2 --dist loadfile

# Two at a time: they wait for servers, clusters and daemons more than they compute. In the order of their files: by
# their number of tests the longest would come last.
test-slow: $(VENV)/.installed-slow
	@command -v chromium >/dev/null || $(call apt,chromium)
	$(BIN)/pytest -m slow -n 2 --dist loadfile --no-loadscope-reorder

clean:
	rm -rf $(VENV) *.egg-info

apt = if command -v apt-get >/dev/null; then $(SUDO) apt-get update -q && $(SUDO) apt-get install -qy $(1); \
	else echo "sdaie needs $(1): install it with this system's package manager, then run make again" >&2; exit 1; fi

# A file, not a target without one, so that an installed machine is not asked again.
$(VENV)/.installed: pyproject.toml constraints.txt
	@command -v exiftool >/dev/null || { $(call apt,libimage-exiftool-perl); }
	@python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { $(call apt,python3 python3-venv); }
	@[ -x $(BIN)/python ] || python3 -m venv $(VENV)
	$(BIN)/python -m pip install -q $(PIP_ARGS) -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-slow: $(VENV)/.installed-test
	$(BIN)/python -m pip install -q $(PIP_ARGS) -c constraints.txt -e '.[test,ray]'
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install -q $(PIP_ARGS) -c constraints.txt -e '.[test]'
	@touch $@
