# `make` lists the targets. scripts/with-postgres starts a Postgres, unless DATABASE_URL is set.

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
WITH_POSTGRES := scripts/with-postgres

.DEFAULT_GOAL := help
.PHONY: help demo test check advisories fmt sqlx openapi clients bench chaos fuzz fuzz-api image clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# with-postgres runs the program itself and not cargo: the program handles Ctrl-C.
demo: ## Run everything on this machine: simulator, service, sample traffic
	@test -d $(TARGET_DIR)/debug/deps || echo 'The first build takes about 3 minutes on 2 cores; later ones take seconds.'
	cargo build --locked
	$(WITH_POSTGRES) $(TARGET_DIR)/debug/ringback demo

test: ## Run all tests; ARGS='name' runs some
	scripts/run-tests $(ARGS)

# Runs a command with a Postgres of its own whose schema is up to date, and with sqlx-cli in PATH.
WITH_SCHEMA := scripts/with-tool cargo-sqlx env -u DATABASE_URL $(WITH_POSTGRES) scripts/with-schema

# .sqlx comes before clippy, which cannot compile a query that is missing there. sqlx only warns about queries that are
# no longer used; diff fails.
check: ## Check format, lints, docs, scripts, dependencies, and that .sqlx and openapi/ are up to date
	@cargo fmt --check || { echo 'The code is not formatted: run make fmt' >&2; exit 1; }
	scripts/with-tool shellcheck shellcheck scripts/* .ci/run
	scripts/with-tool cargo-deny cargo deny --locked check bans licenses sources
	scripts/with-tool cargo-machete cargo machete
	$(WITH_SCHEMA) cargo sqlx prepare --check -- --locked --all-targets
	@diff -rq .sqlx $(TARGET_DIR)/sqlx-prepare-check || { echo '.sqlx has queries that the code does not: run make sqlx' >&2; exit 1; }
	cargo clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --locked
	cargo build --locked
	@$(TARGET_DIR)/debug/ringback openapi >$(TARGET_DIR)/openapi.json
	@diff -u openapi/ringback.json $(TARGET_DIR)/openapi.json || { echo 'openapi/ringback.json is out of date: run make openapi' >&2; exit 1; }
	scripts/with-tool openapi-spec-validator openapi-spec-validator openapi/ringback.json

# Not part of `check`: it fetches the advisory database from GitHub.
advisories: ## Check dependencies against the RustSec advisory database
	scripts/with-tool cargo-deny cargo deny --locked check advisories

fmt: ## Format the code
	cargo fmt

sqlx: ## Update .sqlx, the descriptions of the checked queries
	$(WITH_SCHEMA) cargo sqlx prepare -- --locked --all-targets

openapi: ## Update openapi/ringback.json
	cargo build --locked
	@mkdir -p openapi
	$(TARGET_DIR)/debug/ringback openapi >$(TARGET_DIR)/openapi.json
	cp $(TARGET_DIR)/openapi.json openapi/ringback.json

# With RINGBACK_URL and RINGBACK_KEY it calls a demo that is already running. From cold it takes some minutes.
clients: ## Generate typed clients in TypeScript, Python and Rust, and call the demo with each
	scripts/with-tool ploidy scripts/clients build
	@[ "$$RINGBACK_URL" ] || cargo build --locked
	@$(if $(RINGBACK_URL),,env -u DATABASE_URL $(WITH_POSTGRES) scripts/with-demo $(TARGET_DIR)/debug/ringback) scripts/clients call

BENCHES := --bench accepts --bench audit --bench audit_log --bench callbacks --bench pauses --bench answer_rate

# The release build is measured. The benchmarks themselves are built without its slow link, and with them a program that
# takes the place of the release build: so a copy is measured.
bench: ## Run the benchmarks, with a Postgres that syncs to disk; ARGS='name' runs some; PEER=directory compares another service
	cargo build --release --locked
	cp $(TARGET_DIR)/release/ringback $(TARGET_DIR)/measured
	cargo bench --locked $(BENCHES) --no-run
	RINGBACK_BINARY='$(abspath $(TARGET_DIR))/measured' WITH_POSTGRES_DURABLE=1 $(WITH_POSTGRES) cargo bench --locked $(BENCHES) -- $(ARGS)

# The chaos run starts and kills a Postgres of its own; with-postgres only puts the server programs in PATH. CHAOS_BINARY
# replaces the release build. The program runs without cargo, so that it handles Ctrl-C and sets the exit status.
chaos: ## Run replicas with injected failures and check every guarantee; CHAOS_SECONDS, CHAOS_KILLS, CHAOS_SEED; ARGS=--help
	cargo build --release --locked
	cp $(TARGET_DIR)/release/ringback $(TARGET_DIR)/measured
	cargo bench --locked --bench chaos --no-run
	@chaos=$$(cargo bench --locked --bench chaos --no-run --message-format=json 2>/dev/null | \
		sed -n 's/.*"executable":"\([^"]*\/chaos-[^"]*\)".*/\1/p') && \
		CHAOS_BINARY="$${CHAOS_BINARY:-$(abspath $(TARGET_DIR))/measured}" \
		env -u DATABASE_URL $(WITH_POSTGRES) "$$chaos" $(ARGS)

# 30 targets.
fuzz: ## Give ten million mutated inputs to the parsers; FUZZ_INPUTS for each target, FUZZ_SEED; ARGS='phone' runs some
	cargo test --locked --lib --no-run
	FUZZ_INPUTS=$${FUZZ_INPUTS:-350000} cargo test --locked --lib $(if $(ARGS),$(ARGS),fuzz_test::) -- --show-output

fuzz-api: ## Run schemathesis against the release build; FUZZ_BINARY replaces it; ARGS='--max-examples 1000'
	$(if $(FUZZ_BINARY),,cargo build --locked --release)
	scripts/with-tool schemathesis $(WITH_POSTGRES) scripts/fuzz-api $(ARGS)

image: ## Build the container image ringback
	docker build --tag ringback .

clean: ## Remove everything built
	cargo clean
	rm -rf clients/*/generated clients/typescript/node_modules
