#!/bin/bash
# Runs once in the virtual machine of make boot-test, as a service, when systemd has
# started everything else. It writes to the serial console, and powers off.
exec >/dev/ttyS0 2>&1
failed=0
ok() { echo "boot-test: ok: $*"; }
bad() { echo "boot-test: FAILED: $*"; failed=1; }
# check NAME COMMAND...: the command succeeds within a minute or two.
check() {
	local name=$1 i; shift
	for i in $(seq 240); do "$@" >/tmp/out 2>&1 && { ok "$name"; return; }; sleep 0.5; done
	bad "$name: $*: $(tail -5 /tmp/out)"
}
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
	[ $n -gt 5 ] && [ "$(stat sandbox threads)" = "$(stat sandbox threads_filtered)" ]
}
dropin() { mkdir -p /run/systemd/system/$1.d; cat >/run/systemd/system/$1.d/test.conf; systemctl daemon-reload; }
nodropin() { rm -rf /run/systemd/system/$1.d; systemctl daemon-reload; }
has() { local text=$1; shift; "$@" 2>&1 | grep -q -e "$text"; }
is() { local want=$1; shift; local got; got=$("$@"); [ "$got" = "$want" ] || { echo "it is '$got', not '$want'"; return 1; }; }
again() { systemctl reset-failed gomcd 2>/dev/null; systemctl restart gomcd; }

echo "boot-test: kernel $(uname -r), systemd $(systemctl --version | head -1)"
check "gomcd.service starts at boot, and says when it is ready" is active systemctl is-active gomcd
check "it answers" is END ask 'get a'
check "every thread is filtered" filtered
check "StatusText is shown" has 'Status: "version ' systemctl status --no-pager gomcd
check "the journal has the line at readiness" has ' serves tcp:127.0.0.1:11211 ' journalctl -u gomcd -o cat
echo "boot-test: $(journalctl -u gomcd -o cat | grep -m1 ' support these locks ' || echo 'no lock is missing')"

# Configuration.
printf -- '-d\nlogfile /var/log/memcached.log\n-m 96\n-u memcache\n-l 127.0.0.1\n' >/etc/default/gomcd
again
check "a memcached.conf in /etc/default/gomcd is read" is $((96 << 20)) stat '' limit_maxbytes
dropin gomcd.service <<'UNIT'
[Service]
Environment="OPTIONS=-l 127.0.0.2"
UNIT
rm /etc/default/gomcd; again
check "-l of OPTIONS replaces the unit's addresses" is END ask 'get a' 127.0.0.2
[ "$(stat settings inter)" = "" ] && ok "and nothing else is listened on" || bad "127.0.0.1 answers, too"
nodropin gomcd.service; again

# Socket activation.
systemctl stop gomcd; systemctl start gomcd.socket
check "socket activation: a connection starts it" is END ask 'get a'
check "every thread is filtered" filtered
systemctl stop gomcd.socket gomcd

# -Y with reload.
id gomcd >/dev/null || useradd --system gomcd
echo 'ann:one' >/etc/gomcd/users; chown root:gomcd /etc/gomcd/users; chmod 640 /etc/gomcd/users
dropin gomcd.service <<'UNIT'
[Service]
Environment="OPTIONS=-Y /etc/gomcd/users -k -m 32"
LimitMEMLOCK=infinity
UNIT
again
login() { ask "set a 0 0 7\r\n$1"; }
check "-Y: a user logs in" is STORED login 'ann one'
check "-k locks memory" has 'VmLck:.* [1-9]' cat /proc/$(pid)/status
echo 'bob:two' >/etc/gomcd/users; systemctl reload gomcd
check "-Y: after systemctl reload another one does" is STORED login 'bob two'
# -s.
dropin gomcd.service <<'UNIT'
[Service]
Environment="OPTIONS=-s /run/gomcd/socket"
UNIT
again
check "-s in /run/gomcd" test -S /run/gomcd/socket

# Warm restart, as docs/operations.md has it.
mkdir -p /var/cache/gomcd; mount -t tmpfs -o size=160m,mode=0700,uid=$(id -u gomcd),gid=$(id -g gomcd) tmpfs /var/cache/gomcd
dropin gomcd.service <<'UNIT'
[Service]
Environment="OPTIONS=-m 64 -e /var/cache/gomcd/memory"
KillSignal=SIGUSR1
ReadWritePaths=/var/cache/gomcd
UNIT
again
check "-e: it starts" is STORED ask 'set a 0 0 4\r\nwarm'
again
check "-e: the restart is warm" has warm ask 'get a'
nodropin gomcd.service

# Several instances.
printf -- '-p 11311\n-m 8\n' >/etc/gomcd/second.conf
systemctl start gomcd@second
check "gomcd@second serves with its own file" is $((8 << 20)) stat '' limit_maxbytes 11311
systemctl stop gomcd@second

# A violation.
dropin gomcd.service <<'UNIT'
[Service]
Environment="OPTIONS=--test-privileges"
UNIT
again
check "it serves" is END ask 'get a'
before=$(pid); ask misbehave >/dev/null
check "a violation is an error in the journal" has 'sandbox violation: role=worker' journalctl -u gomcd -p err -o cat
restarted() { [ "$(pid)" != 0 ] && [ "$(pid)" != $before ] && is END ask 'get a'; }
check "and the service starts again" restarted
nodropin gomcd.service; again
check "it serves" is END ask 'get a'
began=$SECONDS; systemctl stop gomcd
[ $((SECONDS - began)) -lt 10 ] && ok "systemctl stop ends it before TimeoutStopSec" || bad "systemctl stop took $((SECONDS - began)) seconds"
is success systemctl show -p Result --value gomcd && ok "and well" || bad "the result of the stop"

# AppArmor.
if [ -d /sys/kernel/security/apparmor ]; then
	again; check "it serves" is END ask 'get a'
	check "AppArmor's profile confines it" has '^gomcd (enforce)' cat /proc/$(pid)/attr/current
	systemctl stop gomcd
	has 'apparmor="DENIED".*profile="gomcd"' dmesg && bad "AppArmor: $(dmesg | grep DENIED | tail -5)" || ok "AppArmor has denied nothing"
fi

# Debian's memcached, with the binary exchanged and nothing else changed.
cp /usr/bin/gomcd /usr/bin/memcached
systemctl unmask memcached 2>/dev/null; systemctl start memcached
check "Debian's memcached.service starts gomcd" has gomcd_version ask stats
check "every thread is filtered" filtered memcached
systemctl stop memcached && is success systemctl show -p Result --value memcached && ok "and stops it" || bad "stopping memcached.service"

[ $failed = 0 ] && echo "boot-test: passed" || { journalctl -u gomcd -o cat --no-pager | tail -40; dmesg | grep -i denied | tail; echo "boot-test: some FAILED"; }
systemctl poweroff
