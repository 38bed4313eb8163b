# `make run` and `make test` are all that a fresh machine needs; `make help` lists the rest.
# Dependencies are built once, optimised, in the dev profile that run, test and check share.

SHELL := /bin/bash
CARGO ?= cargo
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/query/tools
DENY := $(TOOLS)/bin/cargo-deny
DENY_VERSION := 0.20.2
TARGET := $(or $(CARGO_TARGET_DIR),target)
DSDGEN := $(TOOLS)/dsdgen
TPCDS := $(TARGET)/tpcds
TPCDS_SCALE ?= 0.01

.PHONY: help run build test check fmt bench soak clean

help:
	@echo "make run    build, and run the examples in queries/examples"
	@echo "make test   run all tests (installs what they need)"
	@echo "make check  format, lints, docs, licences"
	@echo "make bench  side by side with peers"
	@echo "make soak   the long runs"
	@echo "make clean  remove what was built"

run: build
	$(TARGET)/debug/query run queries/examples/*.sql --format table

build:
	$(CARGO) build --locked

# Some tests open a page in a headless Chromium, others read from servers of S3 and HDFS.
test:
	@tests/browser.sh --install >/dev/null
	@tests/servers.sh --install >/dev/null
	$(CARGO) test --locked --quiet

check: $(DENY)
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --quiet
	PATH="$(TOOLS)/bin:$$PATH" $(CARGO) deny --log-level error check bans licenses sources

# The tool is used a few times a day, not in a loop: a quick build of it is worth more than a quick run.
$(DENY):
	CARGO_TARGET_DIR=$(TOOLS)/target CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
	CARGO_PROFILE_RELEASE_CODEGEN_UNITS=64 \
	$(CARGO) install cargo-deny --version $(DENY_VERSION) --locked --quiet --root $(TOOLS)
	rm -rf $(TOOLS)/target

# Our own code optimised and without its checks of itself, on the dependencies that are built like that already.
bench: export CARGO_PROFILE_DEV_OPT_LEVEL := 3
bench: export CARGO_PROFILE_DEV_DEBUG_ASSERTIONS := false
bench: export CARGO_PROFILE_DEV_OVERFLOW_CHECKS := false
bench:
	$(CARGO) bench --locked --profile dev --bench tasks
	$(CARGO) build --locked
	benches/run.sh $(TARGET)/debug
	@tests/servers.sh --install >/dev/null
	$(CARGO) bench --locked --profile dev --bench stores -- "$$(benches/setup.sh)"

soak: build
	QUERY_SOAK_ROWS=100000000 QUERY_SOAK_KILLS=200 $(CARGO) test --locked --quiet -- streaming atomic
	QUERY_SOAK_SEEDS=100 $(CARGO) test --locked --quiet -- slt::
	QUERY_SOAK_CORRUPTIONS=2000 $(CARGO) test --locked --quiet -- corrupt
	QUERY_SOAK_CANCELS=200 $(CARGO) test --locked --quiet -- cancel::what_is_stopped --nocapture
	QUERY_SOAK_TPCH=1:256MB $(CARGO) test --locked --quiet -- memory::tpch
	$(MAKE) $(TPCDS)/q1.sql
	QUERY_SOAK_TPCDS=$(abspath $(TPCDS)) $(CARGO) test --locked --quiet -- graph::lower graph::agree
	QUERY_SOAK_OBJECTS=1 $(CARGO) test --locked --quiet -- remote_tpch::a_prefix
	QUERY_SOAK_NARROWED=4000 $(CARGO) test --locked --quiet -- narrowed::

# TPC-DS, tables and queries: DuckDB's generator, from PyPI.
$(TPCDS)/q1.sql: benches/tpcds.py
	[ -x $(DSDGEN)/bin/pip ] || python3 -m venv $(DSDGEN)
	$(DSDGEN)/bin/pip install --quiet --disable-pip-version-check duckdb==1.5.5 duckdb-extension-tpcds==1.5.5
	$(DSDGEN)/bin/python benches/tpcds.py $(TPCDS) $(TPCDS_SCALE)

clean:
	$(CARGO) clean
