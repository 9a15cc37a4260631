# Runs the image with podman: see run.sh. Networks and control groups are the host's.
set -euo pipefail
ok() { echo "image-test: ok: $*"; }
fail() { echo "image-test: FAILED: $*" >&2; podman logs t >&2 || true; exit 1; }
same() { [ "$1" = "$2" ] && ok "$3" || fail "$3: '$1', want '$2'"; }
trap 'podman rm -f -t 0 t >/dev/null 2>&1 || true' EXIT
flags=(--network host --cgroups=disabled --read-only --cap-drop ALL --security-opt no-new-privileges)
port=11711
ask() { exec 3<>/dev/tcp/127.0.0.1/$port; printf "$1"'\r\nquit\r\n' >&3; timeout 60 cat <&3 | tr -d '\r'; exec 3>&-; }
stat_of() { ask "stats $1" | sed -n "s/^STAT $2 //p"; }
# start ARGUMENT...: what comes before -- is for podman, the rest for the image.
start() {
	local engine=()
	while [ "$1" != -- ]; do engine+=("$1"); shift; done; shift
	podman rm -f -t 0 t >/dev/null 2>&1 || true
	podman run -d --name t "${flags[@]}" ${engine[@]+"${engine[@]}"} gomcd:test "$@" >/dev/null
	for i in $(seq 600); do podman logs t 2>&1 | grep -q ' serves ' && return; [ "$(podman inspect -f '{{.State.Running}}' t)" = true ] || break; sleep 0.1; done
	fail "it does not serve"
}
stop() { podman stop -t 20 t >/dev/null; same "$(podman inspect -f '{{.State.ExitCode}}' t)" 0 "it ends well"; }

same "$(podman run --rm "${flags[@]}" gomcd:test -V | head -1)" "memcached 1.6.45" "flags alone"
same "$(podman run --rm "${flags[@]}" gomcd:test memcached -V | head -1)" "memcached 1.6.45" "memcached and flags"
same "$(podman inspect -f '{{.Config.Cmd}} {{.Config.User}}' gomcd:test)" "[memcached] 11211:11211" "the image's command and user"
for command in "" memcached; do
	start -- $command -l 127.0.0.1 -p $port -m 96 -v
	same "$(ask 'set a 0 0 1\r\n1\r\nget a' | tr '\n' ' ')" "STORED VALUE a 0 1 1 END " "it serves (${command:-flags})"
	same "$(stat_of '' limit_maxbytes)" $((96 << 20)) "with -m"
	same "$(stat_of sandbox threads_filtered)" "$(stat_of sandbox threads)" "every thread is filtered"
	same "$(ps -o uid= -C gomcd | tr -d ' ')" 11211 "as user 11211"
	stop
done

# Secrets, laid out as Kubernetes does: links that are exchanged.
secret=/secret; rm -rf $secret; mkdir $secret
# version NAME: a new state of the secret.
version() {
	mkdir $secret/..$1
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$1" -keyout $secret/..$1/tls.key -out $secret/..$1/tls.crt 2>/dev/null
	echo "$1:password" >$secret/..$1/users
	chown -R 11211:11211 $secret/..$1; chmod 400 $secret/..$1/*
	ln -s ..$1 $secret/..new; mv -T $secret/..new $secret/..data
}
version first; for f in tls.key tls.crt users; do ln -s ..data/$f $secret/$f; done
served() { openssl s_client -connect 127.0.0.1:$port </dev/null 2>/dev/null | openssl x509 -noout -subject | sed 's/.*= *//'; }
start -v $secret:/etc/gomcd/tls:ro -- -l 127.0.0.1 -p $port -Z -o ssl_chain_cert=/etc/gomcd/tls/tls.crt,ssl_key=/etc/gomcd/tls/tls.key -v
same "$(served)" first "TLS with a secret"
version second
same "$({ printf 'refresh_certs\r\n'; printf 'quit\r\n'; } | openssl s_client -quiet -connect 127.0.0.1:$port 2>/dev/null | tr -d '\r')" OK "refresh_certs"
same "$(served)" second "loads the new certificate"
stop
start -v $secret:/etc/gomcd:ro -- -l 127.0.0.1 -p $port -Y /etc/gomcd/users -v
same "$(ask 'set a 0 0 15\r\nsecond password')" STORED "-Y with a secret"
version third
podman kill -s HUP t >/dev/null
for i in $(seq 600); do podman logs t 2>&1 | grep -q reloaded && break; sleep 0.1; done
same "$(ask 'set a 0 0 14\r\nthird password')" STORED "and after SIGHUP"
stop

# A warm restart, as docs/operations.md has it.
mkdir -p /warm; mount -t tmpfs -o size=128m,mode=0700,uid=11211,gid=11211 tmpfs /warm
for round in 1 2; do
	start -v /warm:/warm --stop-signal SIGUSR1 -- -l 127.0.0.1 -p $port -m 64 -e /warm/memory -v
	[ $round = 2 ] || same "$(ask 'set a 0 0 4\r\nwarm')" STORED "-e on a volume"
	[ $round = 1 ] || same "$(ask 'get a' | sed -n 2p)" warm "a warm restart"
	stop
done
echo "image-test: passed"
