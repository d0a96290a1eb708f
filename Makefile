# Everything that README.md names. `make help` lists it.
BIN ?= .venv/bin
BOARD ?= qemu-virt
export OMP_NUM_THREADS ?= 1
unexport PYTHONDONTWRITEBYTECODE  # dozens of processes start in the tests: let each module be compiled once

WORKERS ?= $(shell expr $$(nproc) \* 2)# processes that run tests: some wait for others

.DEFAULT_GOAL := help
.PHONY: help setup native demo test test-all fuzz lint bench mutate pins images licences clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## .venv with pinned libraries, the native module, the three commands
	@.ci/setup

native: ## build only the native module, into src; GPS_DENIED_OKVIS2=PREFIX: the one of an installed OKVIS2 as well
	@.ci/setup native

demo: setup ## fly three simulated minutes without GPS, replay, score, report
	$(BIN)/operator-tool evaluate flights --seeds 1-1 --minutes 3 --scenario blackout --out build/demo --replace

test: setup ## what a change must pass: linters, types, C++ tests, the quick suite
	@.ci/setup chromium || true
	@# Meanwhile pytest compiles the tests, once: each of its workers would do it for itself.
	@$(BIN)/python -m pytest --collect-only -q >/dev/null 2>&1 & \
		$(MAKE) --no-print-directory lint; linted=$$?; wait; exit $$linted
	@.ci/setup native-tests
	$(BIN)/python -m pytest -n $(WORKERS) -m "not tier2 and not slow"

test-all: setup ## the quick suite and the slow one
	@.ci/setup chromium || true
	$(BIN)/python -m pytest -n $(WORKERS) -m "not tier2"

fuzz: setup ## feed every parser of outside bytes with hostile ones, FUZZ_S=600 seconds each; FUZZ="msp plans" for some
	PYTHONPATH=src $(BIN)/python -m tests.fuzz.run $(or $(FUZZ_S),600) $(FUZZ)

lint: setup ## layout, style and types of every file with code in it: Python, C++, shell, Nix; FIX=1 lays out
	$(BIN)/python tools/lint $(if $(FIX),--fix)

bench: setup ## measure the figures of _docs/benchmarks.md again; SETS="video" for some (an hour)
	$(BIN)/python tools/bench $(SETS)

mutate: setup ## break the integrity monitor in many small ways and count what its tests notice (half an hour); SAMPLE=200 PART=tiles: of all code
	@$(if $(SAMPLE),$(BIN)/python tools/mutate_sample.py --count $(SAMPLE) --part "$(PART)",tools/mutate $(PART))

pins: setup ## make requirements/*.txt again from requirements/*.in (needs a package index)
	cd requirements && for name in onboard operator sim dev; do CUSTOM_COMPILE_COMMAND="make pins" \
		../$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url \
		--no-emit-find-links --no-emit-trusted-host --no-emit-options --output-file $$name.txt $$name.in || exit 1; done

images: ## both sealed images by Nix, from the pins, into build/; BOARD=jetson-orin for another board
	@[ -f images/boards/$(BOARD)/board.toml ] || { echo "there is no board '$(BOARD)'; there are: $$(echo $$(ls images/boards))"; exit 2; }
	@command -v nix >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get -qq install -y --no-install-recommends nix-bin; } || true
	@nix/setup && nix/prefetch
	@mkdir -p build
	nix build --out-link build/companion-image .#companion-image-$(BOARD)
	nix build --out-link build/operator-image .#operator-image

licences: setup ## write _docs/licences.md from what is installed and, with Nix, from the images' SBOMs
	$(BIN)/python tools/licences.py $$(command -v nix >/dev/null && nix build --json --no-link .#sbom-companion .#sbom-operator | \
		$(BIN)/python -c 'import json, sys; print(*(build["outputs"]["out"] for build in json.load(sys.stdin)))')

clean: ## remove what was built; .venv stays
	rm -rf build .pytest_cache .mypy_cache .ruff_cache
	find src \( -name '_native.*.so' -o -name '_okvis2.*.so' \) -delete
