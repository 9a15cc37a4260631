#!/bin/bash
# Runs once in the virtual machine of make boot-test, as a service, when systemd has
# started everything else. It carries out the tries in turn, or those that
# /usr/local/lib/tries/only names, writes to the serial console, and powers off.
exec >/dev/ttyS0 2>&1
failed=0
ok() { echo "boot-test: ok: $*"; }
bad() { echo "boot-test: FAILED: $*"; failed=1; }
# check NAME COMMAND...: the command succeeds within some minutes.
check() {
	local name=$1 until=$((SECONDS + 240)); shift
	while "$@" >/tmp/out 2>&1 && { ok "$name"; return; } || [ $SECONDS -lt $until ]; do sleep 0.5; done
	bad "$name: $*: $(tail -5 /tmp/out)"
}
# now NAME COMMAND...: the command succeeds at once.
now() { local name=$1; shift; "$@" >/tmp/out 2>&1 && ok "$name" || bad "$name: $*: $(tail -5 /tmp/out)"; }
not() { ! "$@"; }
has() { local text=$1; shift; "$@" 2>&1 | grep -a -q -e "$text"; }
is() { local want=$1; shift; local got; got=$("$@"); [ "$got" = "$want" ] || { echo "it is '$got', not '$want'"; return 1; }; }
ask() { exec 3<>/dev/tcp/${2:-127.0.0.1}/${3:-11211} || return; printf '%b\r\nquit\r\n' "$1" >&3; timeout 60 cat <&3 | tr -d '\r'; exec 3>&-; }
stat() { ask "stats $1" 127.0.0.1 ${3:-11211} | sed -n "s/^STAT $2 //p"; }
pid() { systemctl show -p MainPID --value ${1:-gomcd}; }
# filtered: every thread has gomcd's two filters (and systemd's), as the kernel says.
filtered() {
	local t n=0
	for t in /proc/$(pid $1)/task/*/status; do
		grep -q '^Seccomp:.*2$' $t || { grep ^Name $t; return 1; }
		n=$((n + 1))
	done
	[ $n -gt 5 ] && [ "$(stat sandbox threads '' $2)" = "$(stat sandbox threads_filtered '' $2)" ]
}
dropin() { mkdir -p /run/systemd/system/$1.d; cat >/run/systemd/system/$1.d/test.conf; systemctl daemon-reload; }
again() { systemctl reset-failed gomcd 2>/dev/null; systemctl restart gomcd; }
# fresh leaves the service as the package has it.
fresh() {
	rm -rf /run/systemd/system/*.d /etc/default/gomcd /etc/sysconfig; systemctl daemon-reload
	cp /usr/local/lib/tries/gomcd.conf /etc/gomcd.conf
	systemctl stop gomcd.socket gomcd; systemctl reset-failed gomcd 2>/dev/null
}

echo "boot-test: kernel $(uname -r), systemd $(systemctl --version | head -1)"
cp /etc/gomcd.conf /usr/local/lib/tries/
for try in $(cat /usr/local/lib/tries/only 2>/dev/null || { cd /usr/local/lib/tries && ls [0-9]*; }); do
	echo "boot-test: $try, after $SECONDS seconds"
	. /usr/local/lib/tries/$try
	fresh
done
[ $failed = 0 ] && echo "boot-test: passed" || { journalctl -u gomcd -o cat --no-pager | tail -40; dmesg | grep -i denied | tail; echo "boot-test: some FAILED"; }
systemctl poweroff
