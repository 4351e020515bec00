# Needs Python >= 3.11 and make; everything else is installed into .venv from requirements.txt.

PYTHON ?= python3
PROFILE ?= quick
ARGS ?=
BIN := .venv/bin

.PHONY: study test lab bench train-embedded requirements

study: .venv
	$(BIN)/workbook run $(PROFILE) $(ARGS)

test: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest
	$(BIN)/pytest --nbval --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg notebooks

lab: .venv
	$(BIN)/jupyter lab --notebook-dir notebooks

bench: .venv
	$(BIN)/python -m tests.bench

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
