# Everything one does with mheaplab.  "make lab" and "make test" set up what they need; nothing needs sudo.
#
#   PYTHON=python3.12    the Python that .venv is made with, 3.11 or newer
#   INSTALLER=pip        install with pip alone, where uv cannot be used
#   LAB_ARGS=...         further arguments of "jupyter lab", such as --no-browser
#   PYTEST_ARGS=...      further arguments of pytest, such as "-k sweep"

PYTHON ?= python3
INSTALLER ?= uv
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
UV := $(BIN)/uv --quiet

export UV_COMPILE_BYTECODE := 1
export UV_PYTHON_DOWNLOADS := never

.PHONY: help lab test lint test-jit test-nojit test-browser bench figures lock clean
.NOTPARALLEL:

help: ## this list
	@echo "mheaplab: two commands do everything, set-up included"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "  make %-12s %s\n", $$1, $$2 }'

# The kernel is compiled beside the start of JupyterLab, so that the first notebook does not wait for it as long.
lab: $(STAMP) ## open JupyterLab at the first notebook
	$(BIN)/mheaplab warmup & \
	$(BIN)/jupyter lab notebooks/00_start_here.ipynb --ServerApp.root_dir="$(CURDIR)" \
	    --LabApp.extension_manager=readonly $$(test "$$(id -u)" -ne 0 || echo --allow-root) $(LAB_ARGS)

# With "-k" a pass may have no test of that name, which pytest calls 5.
NONE_IS_FINE = $(if $(findstring -k,$(PYTEST_ARGS)),|| test $$? -eq 5)

# The compiled kernel checks every index, here as for its users, so one pass has compiled code and bounds checks.  What
# the second core can do meanwhile, it does, and is shown afterwards.
test: lint ## lint, then the tests: compiled with bounds checks, as plain Python, in a browser
	@log=$$(mktemp) && trap 'rm -f "$$log"' EXIT && \
	{ $(MAKE) --no-print-directory -k test-nojit test-browser >"$$log" 2>&1 & side=$$!; jit=0; rest=0; \
	  $(MAKE) --no-print-directory test-jit || jit=$$?; wait $$side || rest=$$?; cat "$$log"; \
	  test $$jit -eq 0 && test $$rest -eq 0; }

lint: $(STAMP) ## ruff, and the layers of the package
	$(BIN)/ruff check .
	$(BIN)/lint-imports

test-jit: $(STAMP) ## all tests but those in a browser, the kernel compiled, every index checked
	MHEAPLAB_BOUNDSCHECK=1 $(BIN)/pytest -m "not browser" $(PYTEST_ARGS) $(NONE_IS_FINE)

test-nojit: $(STAMP) ## the kernel's tests with the kernel as plain Python
	NUMBA_DISABLE_JIT=1 $(BIN)/pytest tests/runtime -m "not slow" $(PYTEST_ARGS) $(NONE_IS_FINE)

test-browser: $(STAMP) ## the notebooks in a real JupyterLab in a real browser
	$(BIN)/pytest -m browser $(PYTEST_ARGS) $(NONE_IS_FINE)

bench: $(STAMP) ## measure the kernel
	$(BIN)/mheaplab bench

figures: $(STAMP) ## draw every figure into figures/
	$(BIN)/mheaplab figures

lock: $(STAMP) ## make requirements.lock and environment.yml again from pyproject.toml
	test -x $(BIN)/uv || $(PIP) install uv==$(UV_VERSION)
	$(UV) pip compile pyproject.toml --group build --all-extras --universal --python-version 3.11 \
	    --generate-hashes --no-annotate --custom-compile-command "make lock" --upgrade \
	    --output-file requirements.lock
	$(BIN)/python tools/environment_yml.py

clean: ## remove .venv, caches and drawn figures; data stays
	rm -rf $(VENV) .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist figures
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name .ipynb_checkpoints -type d -prune -exec rm -rf {} +

# The set-up, once for each state of the two files it depends on.
$(STAMP): pyproject.toml requirements.lock
	@command -v $(PYTHON) >/dev/null || \
	    { echo "mheaplab needs Python 3.11 or newer, and there is no $(PYTHON) here." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "mheaplab needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1); name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up $(VENV), once; this takes a minute or two."
	$(PYTHON) -m venv $(VENV)
ifeq ($(INSTALLER),uv)
	@$(PIP) install uv==$(UV_VERSION) && \
	    $(UV) pip install --python $(BIN)/python --require-hashes -r requirements.lock || \
	    { echo "uv could not install, so pip does; INSTALLER=pip asks for it from the start." >&2; \
	      $(PIP) install --no-deps --require-hashes -r requirements.lock; }
else
	$(PIP) install --no-deps --require-hashes -r requirements.lock
endif
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
