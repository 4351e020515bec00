# Needs Python >= 3.11 and make; everything else is installed into .venv from requirements.txt.

PYTHON ?= python3
PROFILE ?= quick
ARGS ?=
BIN := .venv/bin

.PHONY: study check audit test test-style test-units test-notebooks test-kernels soak notebooks \
	lab bench towers train-embedded requirements

# Runs a command, then prints how long it took and whether it passed.
timed = start=$$(date +%s); ( $(2) ); status=$$?; \
	echo "== $(1): $$(( $$(date +%s) - start )) s, $$([ $$status = 0 ] && echo passed || echo FAILED)"; \
	exit $$status

elsewhere = echo "== $(1)"; folder=$$(mktemp -d); \
	env $(1) WORKBOOK_OUTPUTS=$$folder/outputs $(MAKE) --no-print-directory test-notebooks; \
	status=$$?; rm -r $$folder; exit $$status

study: .venv
	$(BIN)/workbook run $(PROFILE) $(ARGS)

# Unit tests and notebooks take about as long, and run side by side, a thread each; in so many GB,
# all processes together.
MEMORY := 4
test: export OMP_NUM_THREADS ?= 1
test: .venv
	@$(call timed,all of make test,$(BIN)/python -m tests.peak --limit $(MEMORY) -- \
		$(MAKE) --no-print-directory --jobs 2 --output-sync check test-units test-notebooks)

check: test-style audit

# Licences of what is pinned, from installed metadata.
audit: .venv
	@$(call timed,audit,$(BIN)/python -m tests.audit)

test-style: .venv
	@$(call timed,style,$(BIN)/ruff check . && $(BIN)/ruff format --check .)

test-units: .venv
	@$(call timed,unit tests,$(BIN)/pytest --tally test)

NBVAL := -p tests.nbval_numbers --nbval --nbval-current-env \
	--nbval-sanitize-with tests/nbval_sanitize.cfg notebooks
test-notebooks: .venv
	@$(call timed,notebooks,$(BIN)/python -m pytest $(NBVAL))

# The long versions of the tests: hours.
soak: .venv
	@$(call timed,soak,$(BIN)/pytest -m soak --tally soak $(ARGS))

# The kernels of other processors, on this one; with outputs of their own, so that all is computed.
test-kernels: .venv
	@$(call elsewhere,ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=1 ONEDNN_MAX_CPU_ISA=SSE41)
	@$(call elsewhere,ATEN_CPU_CAPABILITY=avx2 OMP_NUM_THREADS=2 ONEDNN_MAX_CPU_ISA=AVX2 OPENBLAS_CORETYPE=Haswell)

# Executes the committed notebooks anew, in place; test-notebooks compares with what they say. Of
# the index nothing is kept that widgets show: it is about this machine.
notebooks: .venv
	cd notebooks && ../$(BIN)/jupyter nbconvert --to notebook --execute --inplace \
		--ExecutePreprocessor.record_timing=False [0-9]*.ipynb
	cd notebooks && ../$(BIN)/jupyter nbconvert --to notebook --execute --inplace \
		--ExecutePreprocessor.record_timing=False \
		--ExecutePreprocessor.store_widget_state=False index.ipynb
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
	$(BIN)/python -m helpers.clip.embedded.train $(ARGS)

requirements: .venv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-emit-index-url \
		--no-annotate --all-extras pyproject.toml --output-file requirements.txt

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
