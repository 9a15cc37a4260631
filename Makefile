# make help   lists the targets
# make run    builds gomcd and serves on 127.0.0.1:11211, in the sandbox
# make test   runs everything that CI runs
# They install what is missing, where apt-get may; elsewhere they say what.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec

ADDR ?= 127.0.0.1
PORT ?= 11211
FLAGS ?=

# Without async preemption the Go runtime sends its threads no signals, so that
# the sandbox need not allow any; without stack shrinking, a role thread's
# stack stays as large as it was made at boot. The runtime can be told so only
# by the linker; the second variable tells the sandbox that it was.
GODEBUG_DEFAULT := asyncpreemptoff=1,gcshrinkstackoff=1
LDFLAGS := -X=runtime.godebugDefault=$(GODEBUG_DEFAULT) -X=gomcd/sandbox.preemption=off
# And with the garbage collector before Green Tea: that one has threads map memory
# when they are stopped, whatever their role.
export GOEXPERIMENT := nogreenteagc
GO := go
export GOFLAGS := -buildvcs=false
# Position-independent, so that injected code does not know any address.
# sandbox/trap.go makes everything but data read-only.
PIE := -buildmode=pie
# And with function tables that are read-only, which is up to cgo's linker in gomcd.
TOOL := $(PIE) -ldflags=-bindnow

.PHONY: help build bench-build top-build deb deb-test boot-test boot-test-arm64 rpm rpm-test image-test package install uninstall static run run-tls test deps deps-test check unit bench soak storm handshakes linearize strain differential differential-record upstream-suite fuzz fuzz-short race libc cross sandbox-cost profile drift clean

# Targets with a word about them after ##.
help:
	@echo "gomcd: make TARGET [NAME=VALUE ...]"
	@sed -n 's/^\([a-z][a-z0-9-]*\):[^#]*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 24

build: deps ## builds bin/gomcd
	$(GO) build -trimpath $(PIE) -ldflags '$(LDFLAGS)' -o bin/gomcd ./cmd/gomcd

# One file that needs no other, for a container that has nothing else. The linker
# warns that getaddrinfo wants libc's shared files: without them it finds names
# in /etc/hosts and by DNS.
STATIC := $(PIE) -tags osusergo -ldflags '$(LDFLAGS) -linkmode=external -extldflags=-static-pie'
static: deps ## builds bin/gomcd-static, which needs no other file
	$(GO) build -trimpath $(STATIC) -o bin/gomcd-static ./cmd/gomcd

bench-build: deps ## builds bin/gomcd-bench, the load generator
	$(GO) build -trimpath $(TOOL) -o bin/gomcd-bench ./cmd/gomcd-bench

top-build: deps ## builds bin/gomcd-top, which shows what a server is doing
	$(GO) build -trimpath $(TOOL) -o bin/gomcd-top ./cmd/gomcd-top

install: build bench-build top-build ## installs programs, manual pages, completions and units below PREFIX (/usr/local) and DESTDIR
	$(INSTALL) -d $(addprefix $(DESTDIR),$(sort $(dir $(INSTALLED))))
	$(INSTALL) -m 755 $(addprefix bin/,$(PROGRAMS)) $(DESTDIR)$(BINDIR)
	@for p in $(PROGRAMS); do \
		bin/$$p --print-man >$(DESTDIR)$(MANDIR)/man1/$$p.1; \
		bin/$$p --print-completion=bash >$(DESTDIR)$(DATADIR)/bash-completion/completions/$$p; \
		bin/$$p --print-completion=zsh >$(DESTDIR)$(DATADIR)/zsh/site-functions/_$$p; \
		bin/$$p --print-completion=fish >$(DESTDIR)$(DATADIR)/fish/vendor_completions.d/$$p.fish; \
	done
	@for u in service socket; do sed 's,/usr/local/bin,$(BINDIR),g' deploy/gomcd.$$u >$(DESTDIR)$(UNITDIR)/gomcd.$$u; done
	$(INSTANCE) $(DESTDIR)$(UNITDIR)/gomcd.service >$(DESTDIR)$(UNITDIR)/gomcd@.service
	sed 's|/usr/{,local/}bin|$(BINDIR)|g' deploy/apparmor-gomcd >$(DESTDIR)$(SYSCONFDIR)/apparmor.d/gomcd
	$(INSTALL) -m 644 LICENSE README.md deploy/gomcd.conf $(DESTDIR)$(DOCDIR)
	@cd $(DESTDIR)/ && chmod 644 $(patsubst /%,./%,$(filter-out $(BINDIR)/%,$(INSTALLED)))

uninstall: ## removes what install installs
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	-rmdir $(DESTDIR)$(DOCDIR)

# Packages, of what install installs. The same commit makes the same bytes: all times
# are the commit's. nfpm, which makes them, is a tool of a module of its own
# (deploy/package), so that gomcd's has none of what it depends on.
VERSION := $(shell sed -n 's/^const Version = "\(.*\)"/\1/p' cmd/internal/release/*.go)
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
MAINTAINER ?= $(shell git log -1 --format='%an <%ae>' 2>/dev/null || echo 'gomcd <gomcd@localhost>')
RELEASE ?= 1
PACKAGE := bin/package
ROOT := $(CURDIR)/$(PACKAGE)/root
deb: PACKAGED := deb
deb: package ## makes a Debian package, bin/package/gomcd_*.deb
rpm: PACKAGED := rpm
rpm: package ## makes an RPM package, bin/package/gomcd-*.rpm
package: build bench-build top-build
	$(call modules,tool,deploy/package)
	@rm -rf $(ROOT) && mkdir -p $(ROOT)
	@$(MAKE) --no-print-directory install DESTDIR=$(ROOT) PREFIX=/usr SYSCONFDIR=/etc UNITDIR=/usr/lib/systemd/system >/dev/null
	@cd $(ROOT)/usr; strip --strip-unneeded bin/*; gzip -9n share/man/man1/*; \
	rm -f share/doc/gomcd/gomcd.conf; \
	[ $(PACKAGED) = rpm ] || mv share/doc/gomcd/LICENSE share/doc/gomcd/copyright; \
	[ $(PACKAGED) = rpm ] || printf 'gomcd ($(VERSION)-$(RELEASE)) unstable; urgency=medium\n\n  * Version $(VERSION).\n\n -- $(MAINTAINER)  %s\n' \
		"$$(LC_ALL=C date -uR -d @$(SOURCE_DATE_EPOCH))" | gzip -9n >share/doc/gomcd/changelog.Debian.gz; \
	chmod 644 share/doc/gomcd/*; find .. -exec touch -h -d @$(SOURCE_DATE_EPOCH) {} +
	@sed -e 's,@ROOT@,$(ROOT),' -e 's,@VERSION@,$(VERSION),' -e 's,@RELEASE@,$(RELEASE),' -e 's,@MAINTAINER@,$(MAINTAINER),' \
		-e "s,@ARCH@,$$($(GO) env GOARCH)," \
		-e 's,@MTIME@,$(shell date -u -d @$(SOURCE_DATE_EPOCH) +%Y-%m-%dT%H:%M:%SZ),' \
		-e "s,@GLIBC@,$$(objdump -T $(ROOT)/usr/bin/* | sed -n 's/.*GLIBC_\([0-9.]*\).*/\1/p' | sort -V | tail -1)," \
		deploy/package/nfpm.yaml >$(PACKAGE)/nfpm.yaml
	@cd deploy/package && $(GO) tool nfpm package --packager $(PACKAGED) --config $(CURDIR)/$(PACKAGE)/nfpm.yaml --target $(CURDIR)/$(PACKAGE)

# The packages in a fresh root: installed, started, stopped, upgraded, removed, and made
# twice. The Debian package is looked at by lintian. As root, about three minutes each.
deb-test: deb ## tries the Debian package in a fresh root (debootstrap, lintian)
	$(call install,debootstrap lintian,command -v debootstrap lintian >/dev/null)
	deploy/package/test.sh deb $(PACKAGE)/gomcd_$(VERSION)-$(RELEASE)_$$(dpkg --print-architecture).deb $(PACKAGE)

rpm-test: rpm ## tries the RPM package in a fresh root (debootstrap, with rpm)
	$(call install,debootstrap,command -v debootstrap >/dev/null)
	deploy/package/test.sh rpm $(PACKAGE)/gomcd-$(VERSION)-$(RELEASE).$$(uname -m).rpm $(PACKAGE)

# The image of deploy/Containerfile, built and run by podman in a root of its own, without
# a daemon. As root, five minutes.
image-test: ## builds the container image and runs it (podman in a root of its own)
	$(call install,debootstrap,command -v debootstrap >/dev/null)
	@mkdir -p bin/image
	deploy/imagetest/run.sh bin/image

# Debian's kernels and systemd in an emulator, with the package installed, carry out
# deploy/boottest/tries: every recipe of the documentation, README's swap, violations, TLS,
# AppArmor, and units of memcached with the binary exchanged. As root, a quarter of an hour
# a suite, and five minutes more the first time. bookworm has Linux 6.1, bookworm+bullseye 5.10, trixie 6.12.
# BOOT_TRIES='10-start 45-tls' carries out only these.
BOOT_SUITES ?= bookworm
BOOT_TRIES ?=
boot-test: deb ## boots BOOT_SUITES (bookworm; bookworm+bullseye trixie) in an emulator and tries the service
	$(call install,debootstrap,command -v debootstrap >/dev/null)
	@mkdir -p bin/boot
	BOOT_TRIES="$(BOOT_TRIES)" deploy/boottest/run.sh $(PACKAGE)/gomcd_$(VERSION)-$(RELEASE)_$$(dpkg --print-architecture).deb bin/boot $(BOOT_SUITES)

# As root an unprivileged user is needed: the server drops root at once.
run: build ## builds, and serves on ADDR:PORT (127.0.0.1:11211) with FLAGS, in the sandbox
	exec ./bin/gomcd -l $(ADDR) -p $(PORT) $$( [ $$(id -u) = 0 ] && echo -u nobody ) $(FLAGS)

# With a certificate that is made on the spot by a program that comes with Go.
TLS := bin/tls
run-tls: build ## serves TLS on ADDR:PORT, with a throw-away certificate in bin/tls
	@mkdir -p $(TLS); [ -e $(TLS)/key.pem ] || { cd $(TLS); \
		$(call quietly,$(GO) run "$$($(GO) env GOROOT)/src/crypto/tls/generate_cert.go" --ecdsa-curve P256 --duration 720h --host localhost,127.0.0.1,::1); }
	@[ $$(id -u) != 0 ] || chown nobody $(TLS)/*.pem
	@echo "try: openssl s_client -quiet -CAfile $(TLS)/cert.pem -connect $(ADDR):$(PORT)"
	exec ./bin/gomcd -l $(ADDR) -p $(PORT) -Z -o ssl_chain_cert=$(TLS)/cert.pem,ssl_key=$(TLS)/key.pem $$( [ $$(id -u) = 0 ] && echo -u nobody ) $(FLAGS)

# What building takes.
DEB_BUILD := libseccomp-dev pkg-config gcc libc6-dev
# Certificates, if this system has none where Go looks for them
# (crypto/x509/root_linux.go): without them no module can be downloaded.
CERTIFICATES := $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem \
	/etc/pki/tls/cacert.pem /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem /etc/ssl/cert.pem)
DEB_BUILD += $(if $(CERTIFICATES)$(SSL_CERT_FILE)$(SSL_CERT_DIR),,ca-certificates)
# What the tests use besides: real clients.
DEB_TEST := man-db zsh fish procps libmemcached-tools python3-pymemcache python3-binary-memcached python3-prometheus-client php-cli php-memcached ruby-dalli ruby libyaml-0-2 perl openssl strace systemd apparmor tmux
# And of packages that would start a daemon only what is in them: memcached-tool,
# a proxy, and promtool.
DEB_UNPACK := memcached nutcracker prometheus
TOOLS := bin/tools
UNPACKED := $(TOOLS)/.unpacked-$(lastword $(DEB_UNPACK))
# Clients for node, and the file that says that they are there.
NPM := memjs@1.3.2 memcache-client@1.0.5
NPM_DONE := $(TOOLS)/.npm-$(subst @,-,$(lastword $(NPM)))

# Where `make install` puts things, by the conventions of the GNU coding standards
# (7.2.5, "Variables for Installation Directories"). DESTDIR comes before all.
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
DOCDIR ?= $(DATADIR)/doc/gomcd
SYSCONFDIR ?= /etc
UNITDIR ?= $(PREFIX)/lib/systemd/system
INSTALL ?= install

# The unit of one of several instances, gomcd@NAME, whose flags are in
# /etc/gomcd/NAME.conf, made from that of the only one.
INSTANCE := sed -e 's,^Description=.*,& (%i),' -e 's, --config=.* \$$OPTIONS, --config=/etc/gomcd/%i.conf $$OPTIONS,' \
	-e 's,^RuntimeDirectory=.*,&-%i,' -e '/^\# Flags are in/,/^\# drop-in/s,.*,\#,' -e '/^\# With gomcd.socket/d' -e '/^\#$$/d'

# What is installed, for uninstall.
PROGRAMS := gomcd gomcd-bench gomcd-top
INSTALLED = $(addprefix $(BINDIR)/,$(PROGRAMS)) $(addprefix $(MANDIR)/man1/,$(addsuffix .1,$(PROGRAMS))) \
	$(addprefix $(UNITDIR)/,gomcd.service gomcd@.service gomcd.socket) $(SYSCONFDIR)/apparmor.d/gomcd $(addprefix $(DOCDIR)/,LICENSE README.md gomcd.conf) \
	$(foreach p,$(PROGRAMS),$(DATADIR)/bash-completion/completions/$(p) $(DATADIR)/zsh/site-functions/_$(p) $(DATADIR)/fish/vendor_completions.d/$(p).fish)

# The memcached to compare with, by path or by name.
MEMCACHED ?= memcached
which = $$(command -v $(1) || echo $(1))

# quietly shows what a command says only if it fails.
quietly = log=$$(mktemp); { $(1); } >"$$log" 2>&1 || { cat "$$log"; rm -f "$$log"; exit 1; }; rm -f "$$log"

# install installs Debian packages $(1), or says which are missing. Elsewhere, and anywhere
# with $(3), what they have is there if the command $(2) succeeds. $(3) is shell that sets
# more=1 if anything else is missing, and has said so.
define install
	@missing= more=; $(3) for p in $(1); do \
		dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; \
	done; \
	[ -z "$$missing" ] && exit $${more:-0}; \
	if command -v apt-get >/dev/null && [ $$(id -u) = 0 ]; then \
		[ -z "$$more" ] || exit 1; \
		echo "installing$$missing"; \
		$(call quietly,apt-get install -y --no-install-recommends $$missing || \
		  { apt-get update && apt-get install -y --no-install-recommends $$missing; }); \
	elif $(if $(3),,! command -v apt-get >/dev/null &&) { $(2); } >/dev/null 2>&1; then exit $${more:-0}; \
	elif command -v apt-get >/dev/null; then \
		echo "Missing:$$missing. Install with: sudo apt-get install$$missing" >&2; exit 1; \
	else \
		echo "Missing here: the equivalents of the Debian packages $(1)$(if $(3), (Fedora: gcc libseccomp-devel pkgconf; Arch: gcc libseccomp pkgconf))" >&2; exit 1; \
	fi
endef

# The Go that go.mod asks for, which Go 1.21 and later fetch unless told not to
# (GOTOOLCHAIN): then what they say follows.
GO_WANTED := $(shell sed -n 's/^go //p' go.mod)
define go_wanted
said=$$($(GO) version 2>&1 | tail -n 1) || true; have=$$(echo "$$said" | sed -n 's/^go version .*go\([0-9][0-9.]*\).*/\1/p'); \
	printf '%s\n' $(GO_WANTED) "$${have:-0}" | sort -V -C || { more=1; \
		echo "Missing: Go $(GO_WANTED) or newer in PATH. Unpack it from https://go.dev/dl, anywhere: it needs no root." >&2; \
		! command -v $(GO) >/dev/null || echo "Here is: $$said" >&2; };
endef

# modules fetches the modules of packages $(1), of the module in directory $(2) or of this
# one. If it cannot, Go says so of every import: the first is shown, and what it means.
define modules
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; cd ./$(2); \
	$(GO) list -deps $(1) 2>&1 >/dev/null | while IFS= read -r line; do \
		case $$line in "go: downloading "*) echo "$$line" >&2;; *) echo "$$line" >>"$$log";; esac; \
	done && exit 0; \
	first=$$(grep -m 1 ': Get "http\|: reading http\|: module lookup disabled' "$$log") || { cat "$$log" >&2; exit 1; }; \
	echo "$$first" >&2; from=$$($(GO) env GOPROXY); \
	case $$first in \
		*"signed by unknown authority"*) echo "Go gets modules from $$from, and no CA of this system has signed the certificate there." >&2; \
			echo "Missing: that CA. Name its PEM file with SSL_CERT_FILE=FILE, or add it to the system (Debian: as /usr/local/share/ca-certificates/NAME.crt, then update-ca-certificates)." >&2;; \
		*) echo "Go cannot get modules (GOPROXY=$$from), this one nor others." >&2;; \
	esac; exit 1
endef

deps:
	$(call install,$(DEB_BUILD),[ -n "$(CERTIFICATES)$$SSL_CERT_FILE$$SSL_CERT_DIR" ] && pkg-config --exists libseccomp && cc --version >/dev/null,$(go_wanted))
	$(call modules,./cmd/...)

deps-test: deps $(UNPACKED) $(NPM_DONE)
	$(call modules,-test ./...)
	$(call install,$(DEB_TEST),command -v memccapable >/dev/null && command -v openssl >/dev/null && python3 -c 'import pymemcache; import bmemcached; import prometheus_client' && php -m | grep -q memcached && ruby -e 'require "dalli"')

$(UNPACKED):
	@rm -rf $(TOOLS)/deb && mkdir -p $(TOOLS)/deb && cd $(TOOLS)/deb; \
	if command -v apt-get >/dev/null; then \
		$(call quietly,apt-get download $(DEB_UNPACK) || { apt-get update && apt-get download $(DEB_UNPACK); }); \
		for p in *.deb; do dpkg-deb -x $$p ..; done; \
	elif command -v memcached-tool nutcracker promtool >/dev/null; then :; else \
		echo "Missing here: what the Debian packages $(DEB_UNPACK) have" >&2; exit 1; \
	fi; touch $(CURDIR)/$(UNPACKED)

# Clients for node, where there is npm.
$(NPM_DONE):
	@mkdir -p $(TOOLS); command -v npm >/dev/null || { touch $@; exit 0; }; \
	$(call quietly,npm install --no-save --no-audit --no-fund --prefix $(TOOLS) $(NPM)); \
	touch $@

test: deps-test check build unit drift race libc cross fuzz-short ## runs everything that CI runs: about a quarter of an hour

# Formatting, vet and staticcheck, and that docs/profile.md has the rules; cross
# vets for arm64.
check: deps ## formatting, vet, staticcheck
	@out=$$(gofmt -l cache cmd protocol sandbox server t); [ -z "$$out" ] || { echo "gofmt would change:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags counted ./cache
	$(GO) tool staticcheck ./...
	$(GO) test ./t/profile

# The tests build their own binaries with these flags.
unit: export GOMCD_LDFLAGS := $(LDFLAGS)
unit: deps-test ## runs the tests of every package
	$(GO) test -count=1 -timeout 60m -ldflags '$(LDFLAGS)' ./...
	$(GO) test -count=1 -tags counted -run 'TestSharedWrites|TestCASInOrder|TestLargeSetsLockSeldom' ./cache

# What the sandbox allows against what servers do, thread by thread. profile runs
# the suite with every system call of its servers reported, and writes
# docs/profile.md; drift runs the one test that has servers make each of the
# calls, and writes nothing. Left out are tests of how fast something is, of who
# is tracing whom, of crashes, of GODEBUG, which has the runtime write to stderr, and of
# what an audit lets through.
PROFILE_SKIP := Misbehave|OfAudit|CrashTrace|EnvironmentThatIsServed|FrontCrashes|FrontViolates|TakenOver|CostLittle|Linear|Strain|Storm|Descriptors|MemoryLimit|TestSystemCallsOfA|TestAuthReloader
profile: export GOMCD_PROFILE := write
profile: SUITE := -skip '$(PROFILE_SKIP)'
drift: SUITE := -run TestRulesAtWork
profile: ## writes docs/profile.md: what each thread may do
drift: ## compares what the sandbox allows with what servers do
profile drift: export GOMCD_LDFLAGS := $(LDFLAGS)
profile drift: deps-test
	@rm -rf bin/calls && mkdir -p bin/calls
	GOMCD_CALLS=$(CURDIR)/bin/calls $(GO) test -count=1 -timeout 60m $(SUITE) ./t
	GOMCD_CALLS=$(CURDIR)/bin/calls $(GO) test -count=1 -run 'TestDrift|TestPicture' ./t/profile

clean: ## removes bin
	rm -rf bin

# Everything at once, with collections in a loop and signals, for as long as
# asked. It ends with a table of what was done, and what was left over.
DURATION ?= 2m
soak: export SOAK := $(DURATION)
soak: export GOMCD_LDFLAGS := $(LDFLAGS)
soak: deps ## everything at once for DURATION (2m), with faults
	$(GO) test -count=1 -timeout 0 -run TestSoak -v ./t

# Clients that connect and leave in every way, STORM of them, while one that
# behaves is served.
storm: export STORM := $(or $(STORM),100000)
storm: export GOMCD_LDFLAGS := $(LDFLAGS)
storm: deps ## STORM (100000) clients that connect and leave in every way
	$(GO) test -count=1 -timeout 0 -run TestConnectionStorm -v ./t

# TLS handshakes in a row, HANDSHAKES of them, which leave memory as it is.
handshakes: export HANDSHAKES := $(or $(HANDSHAKES),100000)
handshakes: export GOMCD_LDFLAGS := $(LDFLAGS)
handshakes: deps ## HANDSHAKES (100000) TLS handshakes in a row
	$(GO) test -count=1 -timeout 0 -run TestHandshakesInARow -v ./t

# Looks for an order of what many connections did to the same keys that explains
# every reply, for as long as asked.
linearize: export LINEARIZE := $(DURATION)
linearize: export GOMCD_LDFLAGS := $(LDFLAGS)
linearize: deps ## looks for an order that explains every reply, for DURATION
	$(GO) test -count=1 -timeout 0 -run TestLinearizable -v ./t

# How long the replies to a client that behaves take, alone and among clients
# that do not, beside memcached's (MEMCACHED=...).
strain: export STRAIN := $(or $(STRAIN),10s)
strain: export GOMCD_LDFLAGS := $(LDFLAGS)
strain: deps ## times a client among others that misbehave, beside MEMCACHED
	MEMCACHED="$(call which,$(MEMCACHED))" $(GO) test -count=1 -timeout 0 -run TestStrain -v ./t

# Random streams of commands, answered by gomcd as by memcached
# (MEMCACHED=...): STREAMS of them, from SEED on.
STREAMS ?= 100000
SEED ?= 1
differential: export GOMCD_LDFLAGS := $(LDFLAGS)
differential: deps ## compares replies to STREAMS random streams with those of MEMCACHED
	STREAMS=$(STREAMS) SEED=$(SEED) MEMCACHED="$(call which,$(MEMCACHED))" \
		$(GO) test -count=1 -timeout 0 -run TestRandomStreams -v ./t/differential

# What memcached answers, for where there is no memcached.
differential-record: deps ## writes MEMCACHED's replies down, for tests without it
	RECORD=400 MEMCACHED="$(call which,$(MEMCACHED))" $(GO) test -count=1 -run 'TestRecord$$' -v ./t/differential

# memcached's own test suite, of a checkout of it that was built, against gomcd.
# UPSTREAM_TESTS='lru.t stats.t' runs only those. With SSL_TEST=1 they use TLS.
MEMCACHED_SRC ?=
UPSTREAM_TESTS ?=
upstream-suite: build ## runs memcached's own tests, of MEMCACHED_SRC
	@[ -n "$(MEMCACHED_SRC)" ] || { echo "upstream-suite: MEMCACHED_SRC=/path/to/a/built/checkout of memcached is missing" >&2; exit 2; }
	@t/upstream-suite.sh "$(MEMCACHED_SRC)" bin/gomcd $(UPSTREAM_TESTS)

# Fuzzing of everything that takes hostile bytes, and of the store: each target
# for FUZZTIME, or for so many inputs (20000x); FuzzRestart, which starts a store
# for each, for FUZZSLOW. An input that reaches new code is made shorter for a second, not for
# a minute, in which nothing else is tried.
FUZZTIME ?= 1m
FUZZSLOW ?= $(FUZZTIME)
fuzz: deps ## fuzzes everything that takes bytes of clients, each target for FUZZTIME (1m)
	@for p in cache protocol server server/internal/events server/internal/record server/internal/handover server/internal/handshake; do \
		for f in $$($(GO) test -list '^Fuzz' ./$$p | grep '^Fuzz'); do \
			case $$f in FuzzRestart) n=$(FUZZSLOW);; *) n=$(FUZZTIME);; esac; \
			echo "$$f"; $(GO) test -run xxx -fuzz "^$$f\$$" -fuzztime $$n -fuzzminimizetime 1s ./$$p; \
		done; \
	done

# As much of it as every change gets.
fuzz-short: FUZZTIME := 5000x
fuzz-short: FUZZSLOW := 100x
fuzz-short: fuzz

# The race detector sees what Go allocated: everything but the store's arena and
# the buffers, for which there are linearize and soak.
# Tests in which one thread does much are left out: it has nobody to race with.
#
# A server that is built with it has an overlay of its own in every role, and
# serves under load.
RACE_ALONE := TestItemsHeld|TestReadThrough|TestRestart|TestMovedPage|TestFullClass|TestTableGrows|TestValuesOfEverySize|TestCacheLines|TestClass
RACE_RUN := TestSoak|TestUDP|TestShutdown|TestEveryThread|TestStatsSandbox|TestAuthFile|TestIdle
race: deps ## tests with the race detector
	$(GO) test -race -count=1 -timeout 60m -ldflags '$(LDFLAGS)' -skip '$(RACE_ALONE)' ./cache ./protocol ./server/...
	$(GO) build -race -ldflags '$(LDFLAGS)' -o bin/race/gomcd ./cmd/gomcd
	GOMCD=$(CURDIR)/bin/race/gomcd $(GO) test -count=1 -timeout 30m -run '$(RACE_RUN)' -skip TestUDPWarning ./t

# The same server with other libcs: glibc linked statically, and musl. What the
# roles may do is the same, for their threads call no libc once they serve.
# Debian's libseccomp.a needs one function of glibc that musl has not got, and its
# musl-gcc does not know of static binaries without a fixed address.
MUSL := bin/tools/musl
MUSL_ENV := CC="gcc -specs=$(CURDIR)/$(MUSL)/specs" CGO_CFLAGS=-I$(CURDIR)/$(MUSL) CGO_LDFLAGS="-L$(CURDIR)/$(MUSL) -lseccomp" PKG_CONFIG=true
LIBC_RUN := TestTranscripts/production|TestSoak|TestUDP|TestShutdown|TestEveryThread|TestStatsSandbox|TestAuthFile|TestMisbehave|TestBinary|TestAuditOfOneRole|TestWorkerSends
libc: deps-test static ## tests with glibc linked statically, and with musl
	$(call install,musl-tools,command -v musl-gcc >/dev/null)
	@rm -rf $(MUSL); mkdir -p $(MUSL); multi=/usr/include/$$(gcc -print-multiarch); \
	ln -s /usr/include/linux /usr/include/asm-generic /usr/include/seccomp*.h $$multi/asm $(MUSL); \
	printf '%s\n' '#include <stdarg.h>' '#include <stdio.h>' \
		'int __fprintf_chk(FILE *f, int flag, const char *format, ...) {' \
		'va_list args; va_start(args, format); int n = vfprintf(f, format, args); va_end(args); (void)flag; return n; }' \
		| musl-gcc -fPIE -x c -c -o $(MUSL)/chk.o -; \
	cp $$(gcc -print-file-name=libseccomp.a) $(MUSL); ar r $(MUSL)/libseccomp.a $(MUSL)/chk.o; \
	sed -e 's/Scrt1\.o/rcrt1.o/' -e 's/^-dynamic-linker .*/-nostdlib -static -pie --no-dynamic-linker -z text/' \
		/usr/lib/$$(gcc -print-multiarch | sed s/gnu/musl/)/musl-gcc.specs >$(MUSL)/specs
	@mkdir -p bin/static && ln -f bin/gomcd-static bin/static/gomcd
	$(MUSL_ENV) $(GO) build -trimpath $(STATIC) -o bin/musl/gomcd ./cmd/gomcd
	GOMCD=$(CURDIR)/bin/static/gomcd $(GO) test -count=1 -timeout 30m -run '$(LIBC_RUN)' ./t
	GOMCD=$(CURDIR)/bin/musl/gomcd $(GO) test -count=1 -timeout 30m -run '$(LIBC_RUN)' ./t
	$(MUSL_ENV) $(GO) test -count=1 -timeout 30m $(STATIC) -run 'Runtime|Everything|ReadBack|Crash|Audit|ViolationLine' ./sandbox

# arm64: everything is vetted and built for it, and its tables resolve, in an
# emulator, which has no filters to install. libseccomp for it is unpacked, so
# that the machine keeps the one architecture that it has.
ARM := bin/tools/arm64
ARM_ENV := GOARCH=arm64 CGO_ENABLED=1 CC=aarch64-linux-gnu-gcc PKG_CONFIG=true \
	CGO_CFLAGS=-I$(CURDIR)/$(ARM)/usr/include CGO_LDFLAGS="-L$(CURDIR)/$(ARM)/usr/lib/aarch64-linux-gnu -lseccomp"
cross: deps $(ARM)/.unpacked ## builds for arm64, and tests its tables
	$(call install,gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user,command -v aarch64-linux-gnu-gcc qemu-aarch64 >/dev/null)
	$(ARM_ENV) $(GO) vet ./...
	$(ARM_ENV) $(GO) build -trimpath $(STATIC) -o bin/arm64/gomcd ./cmd/gomcd 2>&1 | { grep -v 'getaddrinfo\|^#' || true; }
	$(ARM_ENV) $(GO) test -c $(STATIC) -o bin/arm64/sandbox.test ./sandbox
	$(ARM_ENV) $(GO) test -c $(STATIC) -o bin/arm64/record.test ./server/internal/record
	qemu-aarch64 bin/arm64/record.test
	qemu-aarch64 bin/arm64/sandbox.test -test.run 'TestTables|TestUnpinned|TestRolesWithin|TestTgkill'
	GOMCD=$(CURDIR)/bin/arm64/gomcd $(GO) test -count=1 -run TestBinaryIsHardened ./t
	qemu-aarch64 bin/arm64/gomcd --print-profile -A -U 1 | grep '^role'

# gomcd and the sandbox's tests under a kernel for arm64 with real filters, which the
# emulator of cross has not. As root, some minutes, and twenty on a busy machine.
boot-test-arm64: deps $(ARM)/.unpacked ## boots a kernel for arm64 in an emulator, with gomcd under real filters
	$(call install,gcc-aarch64-linux-gnu libc6-dev-arm64-cross debootstrap,command -v aarch64-linux-gnu-gcc debootstrap >/dev/null)
	$(ARM_ENV) $(GO) build -trimpath $(STATIC) -o bin/arm64/gomcd ./cmd/gomcd 2>&1 | { grep -v 'getaddrinfo\|^#' || true; }
	$(ARM_ENV) $(GO) test -c $(STATIC) -o bin/arm64/sandbox.test ./sandbox
	@mkdir -p bin/boot
	deploy/boottest/run-arm64.sh bin/arm64/gomcd bin/arm64/sandbox.test bin/boot

$(ARM)/.unpacked:
	@command -v apt-get >/dev/null || { echo "Missing here: libseccomp for arm64, below $(ARM)/usr" >&2; exit 1; }
	@rm -rf $(ARM); mkdir -p $(ARM)/{lists,cache/archives}/partial; cd $(ARM); \
	apt="-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root -o Acquire::Languages=none \
		-o Dir::State::lists=$$PWD/lists -o Dir::Cache=$$PWD/cache -o Dir::State::status=/dev/null"; \
	$(call quietly,apt-get $$apt update && apt-get $$apt download libseccomp-dev libseccomp2); \
	for p in *.deb; do dpkg-deb -x $$p .; done; rm -rf lists cache; touch .unpacked

# What the filters cost a call of the hot path, outright and with a rule that
# looks at an argument.
sandbox-cost: deps ## measures what the filters cost a call
	$(GO) test -run xxx -bench Filter -benchtime 1x ./sandbox

# Compares gomcd with the memcached named by MEMCACHED (else the one on PATH),
# and with any others given as BENCH_VS="--vs 'NAME=COMMAND' ...", and writes
# benchmarks.md to BENCH_DIR: about a quarter of an hour, and three minutes for each other
# server.
# BENCH_ONLY='get*,memory-*' measures some of the cases and keeps the figures of
# the others. BENCH_DIR=docs writes the document that is part of the project.
BENCH_VS ?=
BENCH_ONLY ?=
BENCH_ROUNDS ?= 5
BENCH_DIR ?= bin/bench
BENCH_USER := $(shell [ "$$(id -u)" = 0 ] && echo -u nobody)
BENCH_FLAGS := $(BENCH_USER) -t {threads} -m {mem} -c 2048 -l 127.0.0.1 -p {port}
bench: build bench-build $(BENCH_DIR)/benchmarks.json ## compares the speed of gomcd and MEMCACHED; writes to BENCH_DIR (bin/bench)
	@command -v $(MEMCACHED) >/dev/null || { echo "There is no $(MEMCACHED): name one with MEMCACHED=/path/to/memcached" >&2; exit 1; }
	@$(MEMCACHED) -V
	./bin/gomcd-bench --report $(BENCH_DIR) --only '$(BENCH_ONLY)' --rounds $(BENCH_ROUNDS) --duration 1s \
		--vs 'gomcd=./bin/gomcd $(BENCH_FLAGS)' \
		--vs 'memcached=$(MEMCACHED) $(BENCH_FLAGS)' \
		--vs 'memcached-R100000=$(MEMCACHED) $(BENCH_FLAGS) -R 100000' $(BENCH_VS)

# The figures of the cases that are not measured.
$(BENCH_DIR)/benchmarks.json:
	@mkdir -p $(BENCH_DIR); cp docs/benchmarks.json docs/benchmarks-*.svg $(BENCH_DIR)
