# The two commands: `make serve` and `make test`. `make help` lists the rest.
JOBS ?= $(shell nproc)
BUILD = build/release
PORT ?= 8080
MODEL ?= models/mach-tiny
# Options of `mach serve` for `make serve`; none: as the model fits this machine.
SERVE ?=
DATA ?=

.PHONY: arm64 load hostile help serve test deps dev-deps build conformance bench format lint asan tsan fuzz install clean
.DEFAULT_GOAL := help

help:
	@echo "make serve        install what is missing, build, serve the demonstration model on port $(PORT)"
	@echo "make test         set up, build and run every test"
	@echo "make conformance DATA=DIR   hold tokenizers and chat templates against published ones in DIR"
	@echo "make bench        benchmarks: memory bandwidth, int8 throughput, matrix products, tokenizer"
	@echo "make asan, tsan   the tests under sanitizers      make fuzz   the fuzz targets, a minute each"
	@echo "make arm64        cross-builds for arm64, and runs what needs it most under qemu"
	@echo "make load         the server under load and abuse, with ASan     make install  see packaging/"
	@echo "make hostile      10,000 bad requests and 5,000 damaged checkpoints, from a seed"
	@echo "make format, lint clang-format, clang-tidy        make clean  remove the build folders"

deps:
	@tools/install_deps.sh tools/packages.txt tools/packages-test.txt

dev-deps: deps
	@tools/install_deps.sh tools/packages-dev.txt

build: deps
	@cmake --preset release >/dev/null
	cmake --build --preset release -j $(JOBS)

serve:
	@tools/serve.sh $(BUILD) $(MODEL) $(PORT) $(JOBS) $(SERVE)

test: build
	@tests/clients/install.sh
	ctest --preset release -j $(JOBS) --no-label-summary

conformance: deps
	@test -n "$(DATA)" || { echo "usage: make conformance DATA=DIR (a folder with templates/ and tokenizers/)"; exit 2; }
	@cmake --preset release >/dev/null
	cmake --build --preset release -j $(JOBS) --target tokenizers_conformance templates_conformance
	$(BUILD)/bin/tokenizers_conformance $(DATA)
	$(BUILD)/bin/templates_conformance $(DATA)

bench: build
	$(BUILD)/bin/mach bench matmul
	MACH_BENCH_TOKENIZER=models/mach-tiny/tokenizer.json \
	  MACH_BENCH_TEXT=tests/goldens/mach-tiny/text.txt $(BUILD)/bin/text_bench

asan tsan: deps
	@cmake --preset $@ >/dev/null
	cmake --build --preset $@ -j $(JOBS)
	ctest --preset $@ -j $(JOBS) -LE slow --no-label-summary

arm64: deps
	@tools/install_deps.sh tools/packages-arm64.txt
	@cmake --preset arm64 >/dev/null
	cmake --build --preset arm64 -j $(JOBS)
	ctest --preset arm64 -j $(JOBS) --no-label-summary

# SECONDS_EACH=600 is what a release runs.
SECONDS_EACH ?= 60
fuzz: dev-deps
	@cmake --preset fuzz >/dev/null
	cmake --build --preset fuzz -j $(JOBS)
	tools/run_fuzzers.sh build/fuzz/bin fuzz/corpus $(SECONDS_EACH)

format: dev-deps
	git ls-files '*.cc' '*.h' | xargs clang-format -i

lint: dev-deps
	@cmake --preset lint >/dev/null
	tools/lint.sh build/lint

# The server under load and abuse, under ASan; SECONDS_LOAD=300 is what a release runs.
SECONDS_LOAD ?= 90
load: deps
	@cmake --preset asan >/dev/null
	cmake --build --preset asan -j $(JOBS) --target server_load
	build/asan/bin/server_load --seconds $(SECONDS_LOAD)

SEED ?= 1
hostile: build
	tests/hostile/requests.py --seed $(SEED) --count 10000 --seconds 8 -- $(BUILD)/bin/mach serve models/mach-tiny \
	  --no-streaming --ctx-size 1024 --port 0 --log-level error
	tests/hostile/checkpoints.py $(BUILD)/bin/mach . --seed $(SEED) --count 5000

install: build
	cmake --install build/release

clean:
	rm -rf build
