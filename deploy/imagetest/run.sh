#!/usr/bin/env bash
# run.sh DIR: builds the image of deploy/Containerfile and runs it, by buildah and podman in
# a root of their own below DIR, so that the host gets nothing and needs no daemon. If the
# registry with the base image cannot be reached, a Debian with the Go that is here stands
# for it. See make image-test.
set -euo pipefail
dir=$(realpath "$1") here=$(cd "$(dirname "$0")" && pwd)
say() { echo "image-test: $*"; }
fail() { echo "image-test: FAILED: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "needs root, for debootstrap"
touch "$dir/go.mod" # so that go vet ./... passes the Go below it over
mirror=${MIRROR:-http://deb.debian.org/debian}
# root NAME PACKAGES: makes a root, once.
root() {
	[ -e "$dir/$1/.done" ] && return
	say "debootstrap $1"
	rm -rf "${dir:?}/$1"
	debootstrap --variant=minbase --include="$2" bookworm "$dir/$1" "$mirror" >"$dir/$1.log" 2>&1 || fail "debootstrap: see $dir/$1.log"
	rm -f "$dir/$1"/var/cache/apt/archives/*.deb
	touch "$dir/$1/.done"
}
root tools buildah,podman,crun,netavark,ca-certificates,openssl,procps
tools=$dir/tools
# What is between them and the registries is here as it is on the host.
cp -L /etc/resolv.conf "$tools/etc/"; cp -L /etc/ssl/certs/ca-certificates.crt "$tools/etc/ssl/certs/"
base=$(sed -n 's/^FROM \(.*\) AS build/\1/p' "$here/../Containerfile")
rm -rf "$tools/src"; mkdir "$tools/src"
(cd "$here/../.." && git ls-files -coz --exclude-standard | xargs -0 cp --parents -t "$tools/src")
inside() {
	unshare --mount --pid --fork bash -ec 'mount --bind "$0" "$0"; mount --rbind /dev "$0/dev"; mount -t proc proc "$0/proc"; mount -t sysfs sys "$0/sys"; mount -t cgroup2 cgroup "$0/sys/fs/cgroup"; mount -t tmpfs run "$0/run"
		export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs; exec chroot "$0" "$@"' "$tools" "$@"
}
inside buildah inspect --type image "$base" >/dev/null 2>&1 || inside buildah pull -q "$base" >/dev/null 2>&1 || {
	say "$base cannot be pulled: a stand-in is made"
	root golang ca-certificates,gcc,g++,libc6-dev,make,pkg-config,git
	mv "$dir/golang" "$tools/golang"
	cp -L "$tools/etc/ssl/certs/ca-certificates.crt" "$tools/golang/etc/ssl/certs/"; cp -a "$(go env GOROOT)" "$tools/golang/usr/local/go"
	inside bash -ec 'c=$(buildah from scratch); buildah add -q $c /golang / >/dev/null
		buildah config --env PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --env GOTOOLCHAIN=local $c
		buildah commit -q $c "$0" >/dev/null; buildah rm $c >/dev/null' "$base"
	rm -rf "$tools/golang"
}
say "build"
inside sh -c 'cd /src && buildah bud --pull-never -f deploy/Containerfile -t gomcd:test .' >"$dir/build.log" 2>&1 || fail "the build: see $dir/build.log"
rm -rf "$tools/src"
cp "$here/try.sh" "$tools/try.sh"
inside bash /try.sh
