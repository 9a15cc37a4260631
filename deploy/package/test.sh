#!/usr/bin/env bash
# test.sh deb|rpm PACKAGE DIR: tries a package in a fresh root below DIR. See make deb-test
# and make rpm-test.
set -euo pipefail
kind=$1 package=$(realpath "$2") dir=$(realpath "$3")
here=$(cd "$(dirname "$0")" && pwd) top=$(cd "$(dirname "$0")/../.." && pwd)
say() { echo "$kind-test: $*"; }
fail() { echo "$kind-test: FAILED: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "needs root, for chroot"

if [ "$kind" = deb ]; then
	say "lintian"
	# The first changelog of a package in Debian itself closes the bug that asks for it.
	lintian --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$package" 2>/dev/null || fail "lintian"
fi

say "the same package, made from a copy elsewhere, has the same bytes"
copy=$dir/a-copy-of-the-tree
rm -rf "$copy"; mkdir -p "$copy/bin"
cd "$top"
git ls-files -coz --exclude-standard | xargs -0 cp --parents -t "$copy"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) MAINTAINER=$(git log -1 --format='%an <%ae>')
export SOURCE_DATE_EPOCH MAINTAINER
cd "$copy"
(umask 0027 && TZ=Asia/Tokyo make -s "$kind" >/dev/null)
cmp "$package" "bin/package/$(basename "$package")" || fail "the bytes differ"
# The next version, to upgrade to.
rm bin/package/*."$kind"; make -s "$kind" RELEASE=2 >/dev/null
next=$(echo "$copy"/bin/package/*."$kind")

[ -e "$dir/base-$kind.tar" ] || {
	say "debootstrap"
	rm -rf "$dir/base"
	[ "$kind" = deb ] || with=--include=rpm
	debootstrap --variant=minbase ${with:-} bookworm "$dir/base" "${MIRROR:-http://deb.debian.org/debian}" >"$dir/debootstrap.log" 2>&1 || fail "debootstrap: see $dir/debootstrap.log"
	tar -C "$dir/base" -cf "$dir/base-$kind.tar" . && rm -rf "$dir/base"
}
fresh=$dir/fresh
rm -rf "$fresh"; mkdir "$fresh"; tar -C "$fresh" -xf "$dir/base-$kind.tar"
mkdir "$fresh/tried"
cp "$package" "$fresh/tried/first"; cp "$next" "$fresh/tried/next"; cp "$here"/try*.sh "$fresh/tried"
unshare --mount --pid --fork chroot "$fresh" /bin/bash "/tried/try-$kind.sh"
rm -rf "$fresh" "$copy"
say "passed"
