# The commands of README.md. Each installs the system packages that it needs and that are missing.

CARGO ?= cargo
# One build serves the demo and the tests: tests name fail points, the demo just has them.
BUILD = --locked --features failpoints
CONFIG ?= config/gateway.toml

.PHONY: help demo test bench run lint audit packages judges

help:
	@echo "make demo    two gateways and a federation on this machine, a mail there and its answer back (demo-out/)"
	@echo "make test    every test, with the foreign programs that judge"
	@echo "make bench   how fast the steps are"
	@echo "make run     the gateway with CONFIG=$(CONFIG)"
	@echo "make lint    format, clippy, documentation"
	@echo "make audit   licences and advisories of the dependencies, offline"

demo: packages
	$(CARGO) build $(BUILD)
	$(CARGO) run --quiet $(BUILD) -- demo --out demo-out

test: packages judges
	$(CARGO) test $(BUILD) --all-targets
	$(CARGO) test $(BUILD) --doc

bench: packages
	$(CARGO) bench --locked --bench steps

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

packages:
	@contrib/packages.sh build

judges:
	@contrib/packages.sh build test
	@contrib/judges.sh
