#!/usr/bin/env bash
# test.sh DEB DIR: tries a Debian package in a fresh root below DIR. See make deb-test.
set -euo pipefail
deb=$(realpath "$1") dir=$(realpath "$2")
top=$(cd "$(dirname "$0")/../.." && pwd)
say() { echo "deb-test: $*"; }
fail() { echo "deb-test: FAILED: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "needs root, for chroot"

say "lintian"
lintian --fail-on error "$deb" 2>/dev/null

say "the same package, made from a copy elsewhere, has the same bytes"
copy=$dir/a-copy-of-the-tree
rm -rf "$copy"; mkdir -p "$copy/bin"
(cd "$top" && git ls-files -coz --exclude-standard | xargs -0 cp --parents -t "$copy")
(cd "$top" && export SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) MAINTAINER=$(git log -1 --format='%an <%ae>') && cd "$copy" && umask 0027 && TZ=Asia/Tokyo make -s deb >/dev/null)
cmp "$deb" "$copy/bin/package/$(basename "$deb")" || fail "the bytes differ"
rpm=$dir/gomcd-$(basename "$deb" | sed 's/gomcd_\(.*\)_.*/\1/').$(uname -m).rpm
(cd "$top" && make -s rpm >/dev/null && export SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) MAINTAINER=$(git log -1 --format='%an <%ae>') && cd "$copy" && make -s rpm >/dev/null)
cmp "$rpm" "$copy/bin/package/$(basename "$rpm")" || fail "the bytes differ"
# The next version, to upgrade to.
(cd "$top" && export SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) MAINTAINER=$(git log -1 --format='%an <%ae>') && cd "$copy" && make -s deb RELEASE=2 >/dev/null)
next=$(echo "$copy"/bin/package/gomcd_*-2_*.deb)

fresh=$dir/fresh
[ -e "$dir/base.tar" ] || {
	say "debootstrap"
	rm -rf "$dir/base"
	debootstrap --variant=minbase bookworm "$dir/base" ${MIRROR:-http://deb.debian.org/debian} >"$dir/debootstrap.log" 2>&1 || fail "debootstrap: see $dir/debootstrap.log"
	tar -C "$dir/base" -cf "$dir/base.tar" . && rm -rf "$dir/base"
}
rm -rf "$fresh"; mkdir "$fresh"; tar -C "$fresh" -xf "$dir/base.tar"
cp "$deb" "$fresh/first.deb"; cp "$next" "$fresh/next.deb"
cat >"$fresh/try" <<'TRY'
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
fail() { echo "deb-test: FAILED: $*" >&2; exit 1; }
mount -t proc proc /proc
mount -t tmpfs tmp /run
files() { find / -xdev \( -path /proc -o -path /run -o -path /tmp -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/log -o -path /try -o -path '/etc/*-' \) -prune -o -print | sort; }
ask() { exec 3<>/dev/tcp/127.0.0.1/11411; printf '%s\r\nquit\r\n' "$1" >&3; tr -d '\r' <&3; exec 3>&-; }
# start does what the unit does, as far as that goes without systemd.
start() {
	local unit command
	unit=/usr/lib/systemd/system/gomcd.service
	command=$(sed -n 's/^ExecStart=//p' $unit)
	[ "$(sed -n 's/^User=//p' $unit)" = gomcd ] || fail "the unit has another user"
	OPTIONS="-p 11411 -v"; command=${command/'$OPTIONS'/$OPTIONS}
	setpriv --reuid gomcd --regid gomcd --clear-groups $command 2>/tmp/log & pid=$!
	for i in $(seq 600); do grep -q ' serves ' /tmp/log && return; kill -0 $pid 2>/dev/null || break; sleep 0.1; done
	fail "it does not serve: $(cat /tmp/log)"
}
stop() { kill $pid; wait $pid || fail "it ends with $?: $(cat /tmp/log)"; }
same() { [ "$1" = "$2" ] || fail "$3: '$1', want '$2'"; }

files >/tmp/before
dpkg -i /first.deb >/tmp/dpkg.log 2>&1 || fail "dpkg -i: $(cat /tmp/dpkg.log)"
getent passwd gomcd >/dev/null || fail "there is no user gomcd"
gomcd -V | head -1
start
same "$(ask 'get a')" END "an answer"
same "$(ask stats | sed -n 's/^STAT limit_maxbytes //p')" $((64 << 20)) "-m of the shipped configuration"
same "$(ps -o user= -p $pid 2>/dev/null || stat -c %U /proc/$pid)" gomcd "the user"
same "$(ask 'stats sandbox' | sed -n 's/^STAT sandbox //p')" enforce "the sandbox"
stop
sed -i 's/^-m 64$/-m 96/' /etc/gomcd.conf
dpkg -i /next.deb >/tmp/dpkg.log 2>&1 </dev/null || fail "upgrade: $(cat /tmp/dpkg.log)"
same "$(dpkg-query -W -f '${Version}' gomcd | sed 's/.*-//')" 2 "the version after the upgrade"
grep -q '^-m 96$' /etc/gomcd.conf || fail "the upgrade has lost /etc/gomcd.conf"
start
same "$(ask stats | sed -n 's/^STAT limit_maxbytes //p')" $((96 << 20)) "-m of the own configuration"
stop
dpkg -r gomcd >/tmp/dpkg.log 2>&1 || fail "remove: $(cat /tmp/dpkg.log)"
[ -e /etc/gomcd.conf ] || fail "removing has lost /etc/gomcd.conf"
dpkg -P gomcd >/tmp/dpkg.log 2>&1 || fail "purge: $(cat /tmp/dpkg.log)"
getent passwd gomcd && fail "the user is left over"
files >/tmp/after
diff /tmp/before /tmp/after || fail "purge leaves the files above"
TRY
say "install, start, stop, upgrade, remove, purge"
unshare --mount --pid --fork chroot "$fresh" /bin/bash /try
rm -rf "$fresh" "$copy"
say "passed"
