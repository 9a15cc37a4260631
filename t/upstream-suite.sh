#!/bin/bash
# Runs memcached's own test suite, of a checkout that was built, with gomcd as
# its server: its .t files, and its C program testapp.
#
#   t/upstream-suite.sh CHECKOUT GOMCD [FILE...]
#
# The checkout is not touched: the suite runs in a copy of its tests, where
# memcached-debug is a wrapper of gomcd. Left out are the files about what gomcd
# has not got (the proxy, external storage) and the one that looks at white
# space in memcached's source; the files about TLS run with SSL_TEST=1, which has all others
# use TLS as well and takes perl's IO::Socket::SSL. binary-sasl.t makes its user with Cyrus SASL's
# saslpasswd2 and expects Cyrus SASL's second mechanism: here the user is in the file
# that gomcd reads, saslpasswd2 does nothing, and PLAIN alone is expected. With FILEs (lru.t testapp) only those run.
# Each file has TIMEOUT seconds (300).
set -u

die() { echo "upstream-suite: $*" >&2; exit 2; }

[ $# -ge 2 ] || die "usage: upstream-suite.sh CHECKOUT GOMCD [FILE...]"
src=$1 gomcd=$(realpath "$2")
shift 2
[ -d "$src/t/lib" ] || die "$src is no checkout of memcached: it has no t/lib (set MEMCACHED_SRC)"
for built in timedrun testapp; do
	[ -x "$src/$built" ] || die "$src is not built: it has no $built"
done
[ -x "$gomcd" ] || die "there is no $gomcd"
command -v perl >/dev/null || die "perl is not installed"

dir=$(mktemp -d) || die "no temporary directory"
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cp -r "$src/t" "$src/doc" "$src/timedrun" "$src/testapp" "$dir" || die "cannot copy $src"
printf '#!/bin/sh\nexec %q "$@"\n' "$gomcd" >"$dir/memcached-debug"
chmod -R a+rX "$dir"
chmod a+x "$dir/memcached-debug"
cd "$dir" || die "cannot enter $dir"

mkdir sasl && printf 'testuser@memcached.realm:testpass\n' >sasl/users && printf '#!/bin/sh\ncat >/dev/null\n' >sasl/saslpasswd2 || die "cannot make users"
chmod 755 "$dir" sasl sasl/saslpasswd2 && chmod 644 sasl/users
sed -i "s/'CRAM-MD5 PLAIN'/'PLAIN'/" t/binary-sasl.t
export RUN_SASL_TESTS=1 MEMCACHED_SASL_PWDB=$dir/sasl/users PATH=$dir/sasl:$PATH

left_out() {
	case $1 in
	proxy* | *extstore* | whitespace.t) true ;;
	ssl_*) [ -z "${SSL_TEST:-}" ] ;;
	binary-sasl.t) [ -n "${SSL_TEST:-}" ] ;; # it calls send, which perl's TLS sockets lack
	*) false ;;
	esac
}

# run FILE runs one and returns its status, or 1 where a test of it failed.
run() {
	case $1 in
	testapp) set -- ./testapp ;;
	*) set -- perl -It/lib "t/$1" ;;
	esac
	timeout -k 5 "${TIMEOUT:-300}" "$@" >"$log" 2>&1 || return
	! grep -aq '^not ok' "$log"
}

[ $# -gt 0 ] || set -- t/*.t testapp
passed=0 failed=()
for file; do
	file=${file##*/}
	left_out "$file" && continue
	[ -f "t/$file" ] || [ "$file" = testapp ] || die "there is no t/$file in $src"
	start=$SECONDS log=$file.log
	if run "$file"; then
		passed=$((passed + 1))
		why=$(sed -n 's/^1\.\.0 # SKIP/: skipped:/p' "$log")
		echo "ok      $file ($((SECONDS - start)) s)$why"
	else
		status=$?
		failed+=("$file")
		echo "FAILED  $file ($((SECONDS - start)) s, status $status)"
		grep -a -A4 '^not ok' "$log" | sed 's/^/        /' | head -40
		tail -3 "$log" | sed 's/^/        /'
	fi
done
echo "$passed passed, ${#failed[@]} failed${failed[*]:+: ${failed[*]}}"
[ ${#failed[@]} = 0 ]
