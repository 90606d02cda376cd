# `make` lists the targets. scripts/with-postgres starts a Postgres, unless DATABASE_URL is set.

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
WITH_POSTGRES := scripts/with-postgres

.DEFAULT_GOAL := help
.PHONY: help demo picture console-pictures test check doc chart advisories fmt sqlx openapi clients bench dispatch chaos failover upgrade migrations fuzz fuzz-api image image-test sbom clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# with-postgres runs the program itself and not cargo: the program handles Ctrl-C.
demo: ## Run everything on this machine: simulator, service, sample traffic; ARGS='--api nice' shows the other API
	@test -d $(TARGET_DIR)/debug/deps || echo 'The first build takes about 3 minutes on 2 cores; later ones take seconds.'
	cargo build --locked
	$(WITH_POSTGRES) $(TARGET_DIR)/debug/ringback demo $(ARGS)

picture: ## Update docs/demo.svg, the picture of the demo in README
	cargo build --locked
	env -u DATABASE_URL $(WITH_POSTGRES) scripts/demo-picture docs/demo.svg

test: ## Run all tests; ARGS='name' runs some
	scripts/run-tests $(ARGS)

# Compiles the library, even if nothing has changed, with a Postgres of its own whose schema is up to date: sqlx asks it about each
# query, and writes the answer into DESCRIBED.
DESCRIBED := $(TARGET_DIR)/described
DESCRIBE_QUERIES = rm -rf $(DESCRIBED) && mkdir -p $(DESCRIBED) && touch src/lib.rs && \
	SQLX_OFFLINE=false SQLX_OFFLINE_DIR='$(abspath $(DESCRIBED))' env -u DATABASE_URL $(WITH_POSTGRES) scripts/with-schema

check: ## Check format, lints, docs, scripts, alerts, the chart, dependencies, and that .sqlx and openapi/ are up to date
	@cargo fmt --check || { echo 'The code is not formatted: run make fmt' >&2; exit 1; }
	scripts/with-tool shellcheck shellcheck scripts/* deploy/compose/* .ci/run
	scripts/with-tool promtool promtool check rules deploy/prometheus/alerts.yml
	scripts/with-tool promtool promtool test rules deploy/prometheus/alerts_test.yml
	@$(MAKE) --no-print-directory chart
	scripts/with-tool cargo-deny cargo deny --locked check bans licenses sources
	scripts/with-tool cargo-machete cargo machete
	$(DESCRIBE_QUERIES) cargo clippy --all-targets --locked -- -D warnings
	@diff -r .sqlx $(DESCRIBED) || { echo '.sqlx is out of date: run make sqlx' >&2; exit 1; }
	@$(MAKE) --no-print-directory doc
	cargo build --locked
	@$(TARGET_DIR)/debug/ringback openapi >$(TARGET_DIR)/openapi.json
	@diff -u openapi/ringback.json $(TARGET_DIR)/openapi.json || { echo 'openapi/ringback.json is out of date: run make openapi' >&2; exit 1; }
	scripts/with-tool openapi-spec-validator openapi-spec-validator openapi/ringback.json

doc: ## Build the documentation of the code; a broken link is an error
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --locked

chart: ## Render the Helm chart and validate it
	scripts/with-tool helm scripts/with-tool kubernetes-validate scripts/check-chart

# Not part of `check`: it fetches the advisory database from GitHub.
advisories: ## Check dependencies against the RustSec advisory database
	scripts/with-tool cargo-deny cargo deny --locked check advisories

fmt: ## Format the code
	cargo fmt

sqlx: ## Update .sqlx, the descriptions of the checked queries
	$(DESCRIBE_QUERIES) cargo check --locked --lib
	rm -rf .sqlx && cp -r $(DESCRIBED) .sqlx

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

# The pictures are of the demo, which has something on every screen.
console-pictures: ## Update docs/console, the pictures of the console in light and dark
	cargo build --locked
	scripts/with-tool chromium env -u DATABASE_URL $(WITH_POSTGRES) scripts/with-demo $(TARGET_DIR)/debug/ringback \
		cargo test --locked --test browser -- pictures

BENCHES := --bench accepts --bench audit --bench audit_log --bench callbacks --bench pauses --bench answer_rate --bench console --bench footprint

# The release build is measured. The benchmarks themselves are built without its slow link, and with them a program that
# takes the place of the release build: so a copy is measured.
bench: ## Run the benchmarks, with a Postgres that syncs to disk; ARGS='name' runs some; PEER=directory compares another service
	cargo build --release --locked
	cp $(TARGET_DIR)/release/ringback $(TARGET_DIR)/measured
	cargo bench --locked $(BENCHES) --no-run
	RINGBACK_BINARY='$(abspath $(TARGET_DIR))/measured' WITH_POSTGRES_DURABLE=1 $(WITH_POSTGRES) cargo bench --locked $(BENCHES) -- $(ARGS)

# The migrations are those of the debug build.
dispatch: ## Place simulated days and compare them with the optimum; ARGS='spiky' runs some; DISPATCH_CALLBACKS is their size
	cargo build --locked
	cargo bench --locked --bench dispatch --no-run
	RINGBACK_BINARY='$(abspath $(TARGET_DIR))/debug/ringback' $(WITH_POSTGRES) cargo bench --locked --bench dispatch -- $(ARGS)

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

# The program `chaos` in the profile of the tests, which are built anyway; and the file of another benchmark.
BUILT_BENCH = $$(cargo build --locked --bench $(1) --message-format=json 2>/dev/null | \
	sed -n 's/.*"executable":"\([^"]*\/$(1)-[^"]*\)".*/\1/p')

# FAILOVER_BINARY replaces the release build.
failover: ## Kill the primary of two Postgres servers under load, again and again; FAILOVER_CYCLES; ARGS=--help
	$(if $(FAILOVER_BINARY),,cargo build --release --locked)
	$(if $(FAILOVER_BINARY),,cp $(TARGET_DIR)/release/ringback $(TARGET_DIR)/measured)
	cargo build --locked --bench chaos
	@chaos=$(call BUILT_BENCH,chaos) && \
		CHAOS_BINARY="$${FAILOVER_BINARY:-$(abspath $(TARGET_DIR))/measured}" \
		env -u DATABASE_URL $(WITH_POSTGRES) "$$chaos" failover $(ARGS)

upgrade: ## Run the version before the newest migration on the new schema, beside the new version; UPGRADE_FROM=commit
	@old=$$(scripts/build-old-version) && cargo build --locked --bin ringback --bench chaos && \
		chaos=$(call BUILT_BENCH,chaos) && \
		CHAOS_BINARY='$(abspath $(TARGET_DIR))/debug/ringback' UPGRADE_OLD_BINARY="$$old" \
		env -u DATABASE_URL $(WITH_POSTGRES) "$$chaos" upgrade $(ARGS)

migrations: ## Measure how long each migration stops writers on large tables; MIGRATIONS_ROWS=1000000
	cargo build --locked --bench migrations
	@env -u DATABASE_URL $(WITH_POSTGRES) "$(call BUILT_BENCH,migrations)"

# 30 targets.
fuzz: ## Give ten million mutated inputs to the parsers, and run the model tests longer; FUZZ_INPUTS for each target, FUZZ_SEED; ARGS='phone' runs some
	cargo test --locked --lib --no-run
	FUZZ_INPUTS=$${FUZZ_INPUTS:-350000} cargo test --locked --lib $(if $(ARGS),$(ARGS),fuzz_test::) -- --show-output
	$(if $(ARGS),,INTERLEAVINGS=100000 cargo test --locked --lib model_test::)

fuzz-api: ## Run schemathesis against the release build; FUZZ_BINARY replaces it; ARGS='--max-examples 1000'
	$(if $(FUZZ_BINARY),,cargo build --locked --release)
	scripts/with-tool schemathesis $(WITH_POSTGRES) scripts/fuzz-api $(ARGS)

image: sbom ## Build the container image ringback with Docker, or as root with buildah; and target/ringback.cdx.json
	scripts/build-image ringback

# As root on a Debian-like machine. From cold the build takes about ten minutes on 2 cores.
image-test: ## Build the image on stand-ins for its bases, without Docker, and test it; IMAGE_BINARY=program skips the compilation
	scripts/with-images $(WITH_POSTGRES) scripts/test-image

sbom: ## Write target/ringback.cdx.json, the bill of materials of the image: all crates in it, in CycloneDX
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) scripts/with-tool cargo-cyclonedx cargo cyclonedx --quiet \
		--format json --spec-version 1.5 --describe binaries --no-build-deps --target x86_64-unknown-linux-gnu
	sed 's|path+file://$(CURDIR)#|#|g' ringback_bin.cdx.json >$(TARGET_DIR)/ringback.cdx.json
	rm ringback_bin.cdx.json

clean: ## Remove everything built
	cargo clean
	rm -rf clients/*/generated clients/typescript/node_modules
