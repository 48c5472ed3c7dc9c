# Everything runs with -count=1: Go's test cache knows neither the kernel nor NSTEST_*.
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-builtin-rules

# Tools by version; Ginkgo's command is of the version in go.mod.
GOLANGCI   := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
ACTIONLINT := go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
GINKGO     := go run github.com/onsi/ginkgo/v2/ginkgo

# For `make suites`, say ARGS='-ginkgo.focus="the firewall"'; for `make bench`, BENCH=Up COUNT=10.
ARGS  ?=
BENCH ?= .
COUNT ?= 6

.PHONY: help suites test check bench rules race

help:
	@echo 'make suites   build the labs, run every suite, print what was found, a summary, and which rules were tried'
	@echo 'make test     unit tests and suites, with the race detector, in random order'
	@echo 'make check    formatting, modules, vet, linters'
	@echo 'make bench    benchmarks, each beside its floor (x-floor), in benchstat format'

suites: rules
	@kept='$(abspath $(NSTEST_RULE_COVERAGE))'; rules=$${kept:-$$(mktemp)}; trap '[ -n "$$kept" ] || rm -f "$$rules"' EXIT; failed=0; \
	NSTEST_RULE_COVERAGE=$$rules go test -count=1 -v ./suites/... -ginkgo.v $(if $(MAKE_TERMOUT),,-ginkgo.no-color) $(ARGS) | awk -f .ci/report.awk || failed=$$?; \
	awk -f .ci/rules.awk "$$rules"; exit $$failed

test: rules race
	$(GINKGO) -p --race --randomize-all --randomize-suites --keep-going --succinct ./suites/...
	go test -race -count=1 -shuffle=on ./...

check:
	@unformatted=$$("$$(go env GOROOT)/bin/gofmt" -l .); if [ -n "$$unformatted" ]; then echo "gofmt -w $$unformatted"; exit 1; fi
	go mod tidy -diff
	go vet ./...
	GOOS=darwin go vet ./topo/...
	@if grep -rn --include='*.go' '//[[:space:]]*nolint' .; then echo 'obey the linters'; exit 1; fi
	$(GOLANGCI) run
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run .ci/packages; else echo 'no shellcheck here: shell scripts are unchecked'; fi
	$(ACTIONLINT) .github/workflows/*.yml

bench:
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count=$(COUNT) ./...

# nft and iptables-restore load a user's rulesets, newuidmap gives the sandbox more
# users. Without them all else still runs.
rules:
	@.ci/packages nftables iptables uidmap || echo 'going on: what needs them is skipped'

# The race detector needs a C compiler. A test opens captures with tshark.
race:
	@.ci/packages gcc libc6-dev
	@.ci/packages tshark || echo 'going on: what needs it is skipped'
