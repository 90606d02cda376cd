# `make` lists what there is. Postgres is brought by scripts/with-postgres, unless DATABASE_URL names one.

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
WITH_POSTGRES := scripts/with-postgres

.DEFAULT_GOAL := help
.PHONY: help demo test check fmt sqlx openapi bench chaos image clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# The program itself runs under with-postgres, not cargo: Ctrl-C is the program's to handle.
demo: ## Run everything on this machine: simulator, service, sample traffic
	cargo build --locked
	$(WITH_POSTGRES) $(TARGET_DIR)/debug/ringback demo

# Compiled first: what does not compile needs no Postgres.
test: ## Run all tests; ARGS='name' runs some
	cargo test --locked --no-run
	$(WITH_POSTGRES) cargo test --locked $(ARGS)

# .sqlx comes first: clippy cannot compile a query that it lacks.
check: ## Check format, lints, docs, scripts, and that .sqlx and openapi/ are in step
	@cargo fmt --check || { echo 'The code is not formatted: run make fmt' >&2; exit 1; }
	@if command -v shellcheck >/dev/null; then shellcheck scripts/* .ci/run; else echo 'No shellcheck here: the scripts are not checked' >&2; fi
	scripts/sqlx-prepare --check
	cargo clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --locked
	cargo build --locked
	@$(TARGET_DIR)/debug/ringback openapi >$(TARGET_DIR)/openapi.json
	@diff -u openapi/ringback.json $(TARGET_DIR)/openapi.json || { echo 'openapi/ringback.json is not in step with the code: run make openapi' >&2; exit 1; }

fmt: ## Format the code
	cargo fmt

sqlx: ## Describe the checked queries anew, in .sqlx
	scripts/sqlx-prepare

openapi: ## Write openapi/ringback.json anew
	cargo build --locked
	@mkdir -p openapi
	$(TARGET_DIR)/debug/ringback openapi >$(TARGET_DIR)/openapi.json
	cp $(TARGET_DIR)/openapi.json openapi/ringback.json

bench: ## Run the benchmarks, with a Postgres that syncs to disk; ARGS='name' runs some
	cargo bench --locked --bench callbacks --bench pauses --bench answer_rate --no-run
	WITH_POSTGRES_DURABLE=1 $(WITH_POSTGRES) cargo bench --locked --bench callbacks --bench pauses --bench answer_rate -- $(ARGS)

# With a Postgres of its own, which it kills: of with-postgres it needs the programs in PATH. CHAOS_BINARY runs another
# ringback than the release build. The program runs without cargo, so that its exit status and Ctrl-C are its own.
chaos: ## Run replicas amid failures and check every promise; CHAOS_SECONDS, CHAOS_KILLS, CHAOS_SEED; ARGS=--help
	cargo bench --locked --bench chaos --no-run
	@chaos=$$(cargo bench --locked --bench chaos --no-run --message-format=json 2>/dev/null | \
		sed -n 's/.*"executable":"\([^"]*\/chaos-[^"]*\)".*/\1/p') && \
		env -u DATABASE_URL $(WITH_POSTGRES) "$$chaos" $(ARGS)

image: ## Build the container image ringback
	docker build --tag ringback .

clean: ## Remove everything built
	cargo clean
