# Needs Python >= 3.11 and make; everything else is installed into .venv from requirements.txt.

PYTHON ?= python3
PROFILE ?= quick
ARGS ?=
BIN := .venv/bin

.PHONY: study check audit test test-all test-style test-browser test-executed test-runs \
	test-models test-arrays test-parts test-notebooks test-kernels test-numeric soak \
	reference notebooks lab bench towers train-embedded requirements

# What Python compiles is kept, whatever the surroundings say: without, every process that imports
# torch compiles it anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE

# Runs a command, then prints how long it took and whether it passed.
timed = start=$$(date +%s); ( $(2) ); status=$$?; \
	echo "== $(1): $$(( $$(date +%s) - start )) s, $$([ $$status = 0 ] && echo passed || echo FAILED)"; \
	exit $$status

study: .venv
	$(BIN)/workbook run $(PROFILE) $(ARGS)

# Two processes at a time, a thread each, in so many GB together; a browser, the runs that are
# started in it and JupyterLab's kernels need these for themselves.
MEMORY := 4
# What is freed goes back to the system at once.
test: export MALLOC_ARENA_MAX ?= 2
test: export MALLOC_MMAP_THRESHOLD_ ?= 1000000
test: export OMP_NUM_THREADS ?= 1
test: .venv
	@$(call timed,all of make test,$(BIN)/python -m tests.peak --limit $(MEMORY) -- \
		$(MAKE) --no-print-directory test-all)

SIDE_BY_SIDE := $(MAKE) --no-print-directory --keep-going --jobs 2 --output-sync
test-all:
	@$(SIDE_BY_SIDE) test-notebooks test-executed test-runs test-parts test-models \
		test-arrays; first=$$?; $(SIDE_BY_SIDE) check test-browser && exit $$first

check: test-style audit

# Licences of what is pinned, from installed metadata.
audit: .venv
	@$(call timed,audit,$(BIN)/python -m tests.audit)

test-style: .venv
	@$(call timed,style,$(BIN)/ruff check . && $(BIN)/ruff format --check .)

BROWSER := tests/test_browser.py tests/test_browser_lab.py tests/test_pages.py
# Runs whose notebooks are executed: kernels, and the process that they start from, hold much.
EXECUTED := tests/test_readme.py $(patsubst %,tests/test_runs_%.py, \
	background cli damage jupyter_kernels notebook_needs redraw runner stamps)
RUNS := $(filter-out $(EXECUTED),$(wildcard tests/test_runs_*.py)) tests/test_degenerate.py \
	tests/test_extend.py
ARRAYS := $(wildcard tests/test_analysis_*.py tests/test_findings_*.py tests/test_figures_*.py)
MODELS := $(wildcard tests/test_data_*.py tests/test_clip_*.py) tests/test_training.py
test-browser: .venv
	@$(call timed,tests in a browser,$(BIN)/pytest $(BROWSER))

test-executed: .venv
	@$(call timed,tests of executed runs,$(BIN)/pytest --tally test $(EXECUTED))

test-runs: .venv
	@$(call timed,tests of runs,$(BIN)/pytest --tally test $(RUNS))

test-models: .venv
	@$(call timed,tests of images and models,$(BIN)/pytest --tally test $(MODELS))

test-arrays: .venv
	@$(call timed,tests of functions on arrays,$(BIN)/pytest --tally test $(ARRAYS))

test-parts: .venv
	@$(call timed,tests of all else,$(BIN)/pytest --tally test $(filter-out \
		$(BROWSER) $(EXECUTED) $(RUNS) $(MODELS) $(ARRAYS),$(wildcard tests/test_*.py)))

# Over the arrays of tests/reference.zip, so that every machine starts from the same bits.
NBVAL := -p tests.nbval_numbers -p tests.nbval_reference --nbval --nbval-current-env \
	--nbval-sanitize-with tests/nbval_sanitize.cfg notebooks
test-notebooks: .venv
	@$(call timed,notebooks,$(BIN)/python -m pytest $(NBVAL))

# The long versions of the tests: hours.
soak: .venv
	@$(call timed,soak,$(BIN)/pytest -m soak --tally soak $(ARGS))

# What depends on float32 products, once more with the kernels of an old processor.
NUMERIC := tests/test_reference.py tests/test_ties.py tests/test_analysis_*.py tests/test_findings_*.py \
	tests/test_runs_device_scores.py tests/test_head_benchmark_comparison.py \
	tests/test_clip_decomposition.py tests/test_clip_model.py tests/test_dissection_planted.py
test-kernels: export ATEN_CPU_CAPABILITY := default
test-kernels: export ONEDNN_MAX_CPU_ISA := SSE41
test-kernels: export OPENBLAS_CORETYPE := Prescott
test-kernels: export OMP_NUM_THREADS := 1
test-kernels: .venv
	@$(call timed,all with the kernels of an old processor,$(MAKE) --no-print-directory --jobs 2 \
		--output-sync test-numeric test-notebooks)

test-numeric: .venv
	@$(call timed,numeric tests,$(BIN)/pytest -q $(NUMERIC))

# Computes anew what the committed notebooks are executed over, and says what changed.
reference: .venv
	$(BIN)/python -m tests.reference make

# Executes the committed notebooks anew, in place; ARGS="08 09" some of them.
notebooks: .venv
	$(BIN)/python -m tests.reference execute $(ARGS)
	$(BIN)/python -m tests.readme_picture

lab: .venv
	$(BIN)/jupyter lab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks/index.ipynb

bench: .venv
	$(BIN)/python -m tests.bench $(ARGS)

# All towers that open_clip names; ARGS="--full" compares some of full size with their libraries.
towers: .venv
	$(BIN)/python -m tests.towers_table $(ARGS)

# Trains embedded-clip, or with ARGS=embedded the other one; goes on where it was stopped.
train-embedded: .venv
	$(BIN)/python -m helpers.training.train $(ARGS)

requirements: .venv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-emit-index-url \
		--no-annotate --extra test --extra images pyproject.toml --output-file requirements.txt

.venv: .venv/installed ;

# The mark is written last, so that an installation that was interrupted is done again.
.venv/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch .venv/installed
