# What the tries of both packages share. They run in a root of their own, as root.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
say() { echo "$kind-test: $*"; }
fail() { echo "$kind-test: FAILED: $*" >&2; exit 1; }
same() { [ "$1" = "$2" ] || fail "$3: '$1', want '$2'"; }
mount -t proc proc /proc
mount -t tmpfs tmp /run
# files lists what is there, but for what package managers and servers write.
files() { find / -xdev \( -path /proc -o -path /run -o -path /tmp -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/rpm -o -path /root/.rpmdb -o -path /var/log -o -path /tried -o -path '/etc/*-' \) -prune -o -print | sort; }
ask() { exec 3<>/dev/tcp/127.0.0.1/11411; printf '%s\r\nquit\r\n' "$1" >&3; tr -d '\r' <&3; exec 3>&-; }
stat_of() { ask "stats $1" | sed -n "s/^STAT $2 //p"; }
# start does what the unit does, as far as that goes without systemd.
start() {
	local unit command
	unit=/usr/lib/systemd/system/gomcd.service
	command=$(sed -n 's/^ExecStart=//p' $unit)
	same "$(sed -n 's/^User=//p' $unit)" gomcd "the unit's user"
	OPTIONS="-p 11411 -v"; command=${command/'$OPTIONS'/$OPTIONS}
	setpriv --reuid gomcd --regid gomcd --clear-groups $command 2>/tmp/log & pid=$!
	for i in $(seq 600); do grep -q ' serves ' /tmp/log && break; kill -0 $pid 2>/dev/null || fail "it does not serve: $(cat /tmp/log)"; sleep 0.1; done
	same "$(ask 'get a')" END "an answer"
	same "$(stat_of '' limit_maxbytes)" $(($1 << 20)) "-m of the configuration"
	same "$(stat -c %U /proc/$pid)" gomcd "the user"
	same "$(stat_of sandbox sandbox)" enforce "the sandbox"
}
stop() { kill $pid; wait $pid || fail "it ends with $?: $(cat /tmp/log)"; }
# quietly WHAT COMMAND...
quietly() { local what=$1; shift; "$@" >/tmp/log 2>&1 </dev/null || fail "$what: $(cat /tmp/log)"; }
