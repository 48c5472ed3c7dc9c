# Everything runs with -count=1: Go's test cache knows neither the kernel nor NSTEST_*.
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-builtin-rules

# Tools by version; Ginkgo's command is of the version in go.mod.
GOLANGCI   := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
ACTIONLINT := go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
GINKGO     := go run github.com/onsi/ginkgo/v2/ginkgo

# For `make suites`, say ARGS='-ginkgo.focus="the firewall"'; for `make bench`, BENCH=Up COUNT=10.
# Two suites run at a time. Specs mostly wait, so each has two Ginkgo processes a processor;
# with the race detector, which computes more, one and a half.
ARGS  ?=
PROCS ?= $(shell n=$$(nproc); echo $$((n > 6 ? 12 : n * 2)))
RACES ?= $(shell n=$$(nproc); echo $$((n > 6 ? 9 : (n * 3 + 1) / 2)))
BENCH ?= .
COUNT ?= 6
# For `make truth` and `make test`: how many networks. One alone, by its seed: NSTEST_TRUTH_SEED=17 make truth.
# For `make chaos`: how many kills; for `make packets`: how many labs.
N     ?= 500
# For `make vm`: any of these kernels, and the suites that are to run on them.
KERNELS ?= 5.10 6.1 6.12
SUITES  ?= ./suites/...
VMFLAGS ?=
VMCACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/nstest

.PHONY: help suites test check bench vm vm-tests truth chaos packets vagrant vagrant-tests rules firewalls rulesets race qemu libvirt

help:
	@echo 'make suites   build the labs, run every suite, print what was found, a summary, and which rules were tried'
	@echo 'make test     unit tests and suites, with the race detector, in random order'
	@echo 'make check    formatting, modules, vet, linters'
	@echo 'make truth    random networks, judged by plain sockets: N=10000 for the long run'
	@echo 'make chaos    tests killed at random moments, and nothing left of them: N=1000 for the long run'
	@echo 'make packets  the first packets of labs that are built beside others that go down: N=10000 for the long run'
	@echo 'make bench    benchmarks, each beside its floor (x-floor), in benchstat format'
	@echo 'make vm       the suites on stock Debian kernels in QEMU: a table of suites and kernels'
	@echo 'make vagrant  the suites in the Vagrant machine, as root and as an ordinary user; reports in vagrant/out'

suites: rules firewalls
	@kept='$(abspath $(NSTEST_RULE_COVERAGE))'; rules=$${kept:-$$(mktemp)}; trap '[ -n "$$kept" ] || rm -f "$$rules"' EXIT; failed=0; \
	NSTEST_RULE_COVERAGE=$$rules .ci/suites 2 $(PROCS) -v $(if $(MAKE_TERMOUT),,--no-color) -- $(ARGS) | awk -f .ci/report.awk || failed=$$?; \
	awk -f .ci/rules.awk "$$rules"; exit $$failed

# probes/policy by itself: it computes for minutes, where the others mostly wait for bounds.
# A package of a few minutes takes ten, the default limit, where a machine has much else to do.
test: rules firewalls race
	NSTEST_TRUTH_N=$(N) .ci/suites 2 $(RACES) --race --randomize-all --succinct $(if $(MAKE_TERMOUT),,--no-color) --
	go test -race -count=1 -shuffle=on -timeout=30m $$(go list ./... | grep -v -e /suites/ -e /probes/policy$$)
	go test -race -count=1 -shuffle=on -timeout=30m ./probes/policy

check:
	@unformatted=$$("$$(go env GOROOT)/bin/gofmt" -l .); if [ -n "$$unformatted" ]; then echo "gofmt -w $$unformatted"; exit 1; fi
	go mod tidy -diff
	go vet ./...
	GOOS=darwin go vet ./topo/...
	@if grep -rn --include='*.go' '//[[:space:]]*nolint' .; then echo 'obey the linters'; exit 1; fi
	$(GOLANGCI) run
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run .ci/suites .ci/packages .ci/unpack .ci/vagrantfile .github/notes .github/summary vagrant/suites vagrant/box/files/customize vagrant/k8s/run vagrant/k8s/collect; else echo 'no shellcheck here: shell scripts are unchecked'; fi
	$(ACTIONLINT) .github/workflows/*.yml
	@if command -v vagrant >/dev/null; then .ci/vagrantfile; else echo 'no vagrant here: vagrant/Vagrantfile is unchecked'; fi
	cd vagrant/k8s && go mod tidy -diff && go vet ./... && go test -count=1 ./...

truth: rules
	NSTEST_TRUTH_N=$(N) $(GINKGO) -p --keep-going --succinct --timeout=24h --focus='of random networks the truth is told' ./suites/truth

# Each run that is killed takes half a second and more.
chaos: rules
	NSTEST_CHAOS_N=$(N) $(GINKGO) -v --timeout=24h --focus='the chaos of SIGKILLs' ./suites/hygiene

# Half of the labs in each of two goroutines; other tests' labs go down beside them.
packets:
	NSTEST_FIRST_N=$(N) go test -count=1 -timeout=24h -run '^TestTheFirstPacketPasses$$' -v ./harness

bench:
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count=$(COUNT) ./...

# What is killed leaves its files in the cache, where the next run finds them. Not
# `go run`, which stands between: who kills make kills what it runs.
# Fewer random networks than elsewhere: where QEMU emulates, 500 would take an hour.
vm vagrant: export NSTEST_TRUTH_N := $(or $(NSTEST_TRUTH_N),200)
vm: qemu rulesets
	@mkdir -p $(VMCACHE)/run/build
	GOTMPDIR=$(VMCACHE)/run/build go build -o $(VMCACHE)/kernels ./vagrant/kernels
	@export NSTEST_MISSING="$${NSTEST_MISSING:+$$NSTEST_MISSING,}packages,go"; \
	exec $(VMCACHE)/kernels $(VMFLAGS) -kernels '$(KERNELS)' $(SUITES) $(if $(ARGS),-- $(ARGS))

# The box is built of Debian packages, and libvirt runs in namespaces of its own:
# nothing is left but the box in the cache, and the reports. No network is in there,
# so modules are fetched before.
vagrant: libvirt rulesets
	@mkdir -p $(VMCACHE)/run/build
	go mod download
	GOTMPDIR=$(VMCACHE)/run/build go build -o $(VMCACHE)/box-run ./vagrant/box
	@cd vagrant; ARGS='$(ARGS)' exec $(VMCACHE)/box-run sh -c 'vagrant --no-tty up; status=$$?; vagrant --no-tty destroy -f; exit $$status'

# That no failure of a guest is lost, and nothing that it sends.
vm-tests: qemu
	NSTEST_VM=1 go test -count=1 -timeout=20m ./vagrant/...

# That nothing is left of a run of Vagrant that is killed.
vagrant-tests: libvirt
	NSTEST_VAGRANT=1 go test -count=1 -timeout=20m ./vagrant/box

# nft, iptables-restore and ipset load a user's rulesets, newuidmap gives the sandbox more
# users. Without them all else still runs.
rules:
	@.ci/packages nftables iptables ipset uidmap || echo 'going on: what needs them is skipped'

# Debian's firewalls and daemons are unpacked into the cache, never installed: one that
# is installed runs.
firewalls:
	@.ci/unpack || echo 'going on: what needs them is skipped'

# Guests have no unpacked packages; they load the rulesets that were made here.
rulesets: rules firewalls
	@go test -count=1 ./suites/firewalls -keep -ginkgo.focus='the ruleset loads' || echo 'going on: guests skip suites/firewalls'

# A guest has the nft and iptables of this machine.
qemu:
	@.ci/packages qemu-system-x86 busybox-static kmod nftables iptables ipset debian-archive-keyring

libvirt: qemu
	@.ci/packages mmdebstrap fdisk dosfstools mtools syslinux syslinux-common e2fsprogs qemu-utils libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients dnsmasq-base vagrant vagrant-libvirt rsync openssh-client

# The race detector needs a C compiler. A test opens captures with tshark.
race:
	@.ci/packages gcc libc6-dev
	@.ci/packages tshark || echo 'going on: what needs it is skipped'
