# The commands of README.md. Each installs the system packages that it needs and that are missing.

CARGO ?= cargo
# One build serves the demo and the tests: tests name fail points, the demo just has them.
BUILD = --locked --features failpoints
CONFIG ?= config/gateway.toml
# How long each parser is fuzzed.
FUZZ_SECONDS ?= 60

.PHONY: help demo test bench federation run lint audit fuzz packages judges

help:
	@echo "make demo    two gateways and a federation on this machine, a mail there and its answer back (demo-out/)"
	@echo "make test    every test, with the foreign programs that judge"
	@echo "make bench   how fast the steps are"
	@echo "make federation   the whole federation played through, with the costs of this machine (docs/scaling.md)"
	@echo "make run     the gateway with CONFIG=$(CONFIG)"
	@echo "make lint    format, clippy, documentation"
	@echo "make audit   licences and advisories of the dependencies, offline"
	@echo "make fuzz    every parser with libFuzzer, FUZZ_SECONDS=$(FUZZ_SECONDS) each"

demo: packages
	$(CARGO) build $(BUILD)
	$(CARGO) run --quiet $(BUILD) -- demo --out demo-out

test: packages judges
	$(CARGO) test $(BUILD) --all-targets
	$(CARGO) test $(BUILD) --doc

bench: packages
	$(CARGO) bench --locked --bench steps

federation: packages
	$(CARGO) bench --locked --bench federation

run: packages
	$(CARGO) run --release --locked -- run --config $(CONFIG)

lint: packages
	$(CARGO) fmt --check
	$(CARGO) clippy $(BUILD) --all-targets -- -D warnings
	$(CARGO) check --locked --lib --no-default-features
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(BUILD) --no-deps

audit:
	@$(CARGO) deny --version >/dev/null 2>&1 || { echo "Nothing was audited: install cargo-deny first (cargo install --locked cargo-deny)."; exit 1; }
	$(CARGO) deny --offline check

# Begins with the seeds of tests/mutations, and with the versions of the product's dependencies. The sanitizer is an
# unstable flag of the compiler that builds the rest. The judge of canonical forms leaks lists of prefixes.
fuzz: packages
	@$(CARGO) fuzz --version >/dev/null 2>&1 || { echo "Nothing was fuzzed: install cargo-fuzz first (cargo install --locked cargo-fuzz)."; exit 1; }
	BREVBRO_SEEDS=fuzz/corpus $(CARGO) test $(BUILD) --quiet --test mutations
	cp Cargo.lock fuzz/Cargo.lock
	RUSTC_BOOTSTRAP=1 $(CARGO) fuzz build
	for target in $$($(CARGO) fuzz list); do \
		if [ $$target = c14n ]; then leaks=0; else leaks=1; fi; \
		ASAN_OPTIONS=detect_leaks=$$leaks RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run $$target -- -max_total_time=$(FUZZ_SECONDS) -timeout=30 -max_len=65536 -rss_limit_mb=4096 || exit 1; \
	done

packages:
	@contrib/packages.sh build

judges:
	@contrib/packages.sh build test
	@contrib/judges.sh
