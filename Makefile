# make demo     set up, then run the examples end to end
# make test     every check that a change must pass
# make help     the rest

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
EXTRAS := test,plot,report,cli,arrow,polars,docs,dask
FIGURE ?= demo-output/growth.png
BUILT  := $(VENV)/.built

.PHONY: help demo test test-full test-frames test-stress test-fuzz test-smooths bench sizes lint format build package docs mutants clean

help:
	@echo "make demo       set up what is needed and run the examples end to end"
	@echo "make test       lint, types, import contract, cargo test, pytest, documented examples"
	@echo "make test-full  the same, with the heavy comparisons"
	@echo "make test-frames  20,000 random models with every tool (FRAMES='--shard 1/4'); goes on where it stopped"
	@echo "make test-stress  2,000 small models from 16 other starts each (STRESS='--shard 1/4'); goes on where it stopped"
	@echo "make test-fuzz  1,000,000 programs of SAS and R cut and overwritten at random, read or refused (FUZZ='--shard 1/4'); goes on where it stopped"
	@echo "make test-smooths  coverage of bands of smooths and size of their tests, 4,000 data sets (SMOOTHS='--shard 1/4'); goes on where it stopped"
	@echo "make bench      side by side with other software (hours; see benchmarks/README.md)"
	@echo "make sizes      sizes and coverages in small samples, and their page (SIZES='--shard 1/4'); goes on where it stopped"
	@echo "make lint       the static checks of make test alone"
	@echo "make format     rewrite Python and Rust in the project's format"
	@echo "make build      a wheel in dist/ for this machine"
	@echo "make package    a wheel for any Linux since 2018 and an sdist in dist/, tried in fresh environments without Rust"
	@echo "make docs       the documentation as a site in build/site, without network; docs/figures are drawn anew"
	@echo "make mutants    whether the tests find a seeded sample of small faults (MUTANTS='--count 40 --seed 1')"
	@echo "make clean      remove what the other targets made"

demo: $(BUILT)
	@mkdir -p $(dir $(FIGURE))
	$(BIN)/mixedmodels demo --figure $(FIGURE)

test: $(BUILT)
	$(BIN)/python tools/run_checks.py

test-full: $(BUILT)
	$(BIN)/python tools/run_checks.py --full

test-frames: $(BUILT)
	OMP_NUM_THREADS=1 $(BIN)/python tests/frame_truths.py --log frames.jsonl $(FRAMES)

test-stress: $(BUILT)
	OMP_NUM_THREADS=1 $(BIN)/python tests/optimum_stress.py --log optima.jsonl $(STRESS)

test-fuzz: $(BUILT)
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz_programs.py --log fuzz.jsonl $(FUZZ)

test-smooths: $(BUILT)
	OMP_NUM_THREADS=1 $(BIN)/python tests/smooth_coverage.py --log smooths.jsonl $(SMOOTHS)

sizes: $(BUILT)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/sizes/run.py $(SIZES)
	$(BIN)/python benchmarks/sizes/page.py

lint: $(BUILT)
	$(BIN)/python tools/run_checks.py --static

bench: $(BUILT)
	test -x benchmarks/.peers/bin/python || sh benchmarks/peers.sh
	$(BIN)/python benchmarks/run.py $(BENCH)

format: $(BUILT)
	$(BIN)/ruff check --fix-only src tests benchmarks tools
	$(BIN)/ruff format src tests benchmarks tools
	cargo fmt

build: $(BUILT)
	$(BIN)/maturin build --release --out dist

package: $(BUILT)
	$(BIN)/python tools/package.py $(PACKAGE)

docs: $(BUILT)
	$(BIN)/python tools/docs_figures.py
	NO_MKDOCS_2_WARNING=1 OMP_NUM_THREADS=1 $(BIN)/mkdocs build --quiet
	@echo "open build/site/index.html"

mutants: $(BUILT)
	$(BIN)/python tools/mutants.py --log mutants.jsonl $(MUTANTS)

clean:
	rm -rf $(VENV) target dist build demo-output src/mixedmodels/_rust*.so
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# One stamp for the whole environment: the compiled kernels and the Python dependencies. Python sources are read in place.
$(BUILT): pyproject.toml Cargo.toml Cargo.lock $(wildcard rust/src/*.rs) | $(BIN)/maturin
	PIP_QUIET=1 VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --release --locked --extras $(EXTRAS)
	@touch $@

$(BIN)/maturin:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@command -v cargo >/dev/null || { echo "Rust is needed to build the kernels: https://rustup.rs" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip "maturin>=1.7,<2"
