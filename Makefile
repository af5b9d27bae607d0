# `make demo` and `make test` are all that a fresh clone needs; docs/testing.md says what each command does.

CARGO ?= cargo
# Most end-to-end tests only wait for a live stream: more of them than cores fit into the same minute.
TEST_THREADS ?= 8
# Nothing may hang: whoever is still running after this long is killed, and the command fails.
TEST_LIMIT ?= 30m
export CARGO_TERM_COLOR ?= auto

.PHONY: attack field field-long static check-deploy load load-smoke faults coverage check-monitoring ui ui-check ui-test demo test test-long test-srs setup fmt-check lint purity tests e2e doc deny fuzz-smoke fuzz-crates compare

UI_SOURCES := $(wildcard ui/src/* ui/src/*/* ui/public/* ui/*.json ui/*.ts) ui/index.html

## The web page, which the next cargo build embeds; does nothing when it is up to date.
ui: ui/dist/index.html

ui/node_modules/.package-lock.json: ui/package-lock.json
	cd ui && npm ci --no-audit --no-fund --loglevel=error

ui/dist/index.html: ui/node_modules/.package-lock.json $(UI_SOURCES)
	cd ui && npm run --silent build

## Types, lints and unit tests of the page.
ui-check: ui/node_modules/.package-lock.json
	cd ui && npm run --silent lint && npm run --silent test

## The page in real browsers (Chromium, Firefox) against a real service.
ui-test: setup ui
	$(CARGO) build --bin overdub
	cd ui && timeout --kill-after=10s 15m npm run --silent e2e

## Builds and runs everything embedded; prints the addresses of the page, of the preview and of the status.
## Without npm the binary has no page, and says so.
demo: $(if $(shell command -v npm),ui)
	$(CARGO) run --bin overdub -- demo

## Everything that CI checks; installs what it needs first.
test: setup ui fmt-check ui-check lint purity tests check-monitoring check-deploy load-smoke ui-test field fuzz-crates doc deny

## The Debian packages that the tests use, when they are missing.
setup:
	./scripts/setup-tests.sh

fmt-check:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

## The three crates name neither a runtime nor a clock nor a socket; stages do not import one another.
purity:
	$(CARGO) test --test architecture

## Unit, property, documentation and end-to-end tests (the latter in their short form).
tests: setup
	timeout --kill-after=10s $(TEST_LIMIT) $(CARGO) test --workspace -- --test-threads $(TEST_THREADS)

## The end-to-end tests alone, in their short form.
e2e: setup
	timeout --kill-after=10s $(TEST_LIMIT) $(CARGO) test --test e2e -- --test-threads $(TEST_THREADS)

## The end-to-end tests in their long form: three minutes of stream each, about twenty minutes in all.
test-long: setup
	OVERDUB_LONG=1 timeout --kill-after=10s 60m $(CARGO) test --test e2e -- --nocapture --test-threads 2 long_

## Hostile peers and sources, one after another against a release build, in a table: memory, CPU, and what a stream
## beside each lost. Then streams, connections and kills over and over. ATTACK=text runs the attacks with that in their
## names.
attack: setup
	OVERDUB_LONG=1 OVERDUB_ATTACK="$(ATTACK)" timeout --kill-after=10s 90m \
		$(CARGO) test --release --test hostile -- --nocapture --test-threads 1 long_$(if $(ATTACK),each_attack)

# Cases made from what users of other projects reported; a clone has none.
FIELD ?= ../shared/field
RUN_FIELD = timeout --kill-after=10s $(TEST_LIMIT) ./scripts/field.py --folder "$(FIELD)" --cache target/field

## Those of $(FIELD) that are short, side by side, by the debug build that the tests have made already.
field: setup ui
	$(CARGO) build --bin overdub
	$(RUN_FIELD) --binary target/debug/overdub

## All of them, two of each set at a time, by a release build.
field-long: setup ui
	$(CARGO) build --release --bin overdub
	$(RUN_FIELD) --binary target/release/overdub --long --jobs 1

## The same against a real SRS, read back by RTMP, HTTP-FLV and HLS, and played by a browser: make test-srs SRS=/path/to/srs
test-srs: setup ui/node_modules/.package-lock.json
	@test -n "$(SRS)" || { echo "usage: make test-srs SRS=/path/to/srs" >&2; exit 2; }
	SRS="$(abspath $(SRS))" timeout --kill-after=10s 45m \
		$(CARGO) test --test e2e -- --nocapture --test-threads 1 srs_

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

## Licences, bans and sources of every dependency (deny.toml).
deny:
	./scripts/deny.sh

## Alert rules, dashboard and what a running service answers at /metrics, judged by promtool.
check-monitoring: setup
	$(CARGO) build --bin overdub
	./scripts/check-monitoring.sh

## Every fuzz target for a few seconds.
fuzz-smoke:
	./scripts/fuzz-smoke.sh

## Those of the three crates, without building the service once more.
fuzz-crates: setup
	FEATURES=--no-default-features timeout --kill-after=10s $(TEST_LIMIT) ./scripts/fuzz-smoke.sh

## CPU time and peak memory of demux and remux beside FFmpeg's, alternately in one run.
compare:
	$(CARGO) build --release --bin overdub
	./scripts/compare-ffmpeg.py $(COMPARE)

## The static binary, checked to be one, and run in an empty root folder: target/*/release/overdub
static: setup
	./scripts/build-static.sh

# What is deployed is what is measured: the static binary.
LOAD = ./scripts/static-cargo.sh bench --bench load -- run

## N live streams at once for T seconds: CPU, memory, lateness, losses. WAY=ffmpeg does the same work by FFmpeg;
## FAULTS=benches/load/faults.txt adds faults; LOAD_ARGS passes more (see `--help`).
N ?= 10
T ?= 60
WAY ?= overdub
load: setup
	$(LOAD) --streams $(N) --seconds $(T) --way $(WAY) $(if $(FAULTS),--faults $(FAULTS)) $(LOAD_ARGS)

## Two streams for 20 seconds, in a debug build: whether they are clean.
load-smoke: setup
	timeout --kill-after=10s 5m $(CARGO) test --locked --bench load -- run --streams 2 --seconds 20 --batch 4 --budget 4

## Each part killed and hung in turn, the network too, and a disk that is full, read-only and, for root, frozen: what the
## viewers saw.
FAULTS_LOAD = $(LOAD) --streams 3 --batch 4 --budget 4
FAULTS_DISK = $(FAULTS_LOAD) --disk 64 --retain 2MB
faults: setup
	$(FAULTS_LOAD) --seconds 415 --artifacts segments --faults benches/load/faults.txt
	$(FAULTS_DISK) --seconds 85 --faults benches/load/disk.txt
	@if [ "$$(id -u)" -eq 0 ]; then $(FAULTS_DISK) --seconds 50 --faults benches/load/frozen.txt; \
	else echo "faults: a disk that hangs NOT RUN: only root may freeze one"; fi

## The systemd unit, as systemd reads it.
check-deploy:
	./scripts/check-deploy.sh

## Line coverage of the workspace by its tests, printed; the report is in target/coverage.
coverage: setup ui
	./scripts/coverage.sh
