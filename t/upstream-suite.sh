#!/bin/bash
# Runs memcached's own test suite, of a checkout that was built, with gomcd as
# its server.
#
#   t/upstream-suite.sh CHECKOUT GOMCD [FILE...]
#
# The checkout is not touched: the suite runs in a copy of its tests, where
# memcached-debug is a wrapper of gomcd. Left out are the files about what gomcd
# has not got (the proxy, external storage, TLS, SASL) and the one that looks at
# white space in memcached's source. With FILEs (lru.t stats.t) only those run.
# Each file has TIMEOUT seconds (300).
set -u

die() { echo "upstream-suite: $*" >&2; exit 2; }

[ $# -ge 2 ] || die "usage: upstream-suite.sh CHECKOUT GOMCD [FILE...]"
src=$1 gomcd=$(realpath "$2")
shift 2
[ -d "$src/t/lib" ] || die "$src is no checkout of memcached: it has no t/lib (set MEMCACHED_SRC)"
[ -x "$src/timedrun" ] || die "$src is not built: it has no timedrun"
[ -x "$gomcd" ] || die "there is no $gomcd"
command -v perl >/dev/null || die "perl is not installed"

dir=$(mktemp -d) || die "no temporary directory"
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cp -r "$src/t" "$src/doc" "$src/timedrun" "$dir" || die "cannot copy $src"
printf '#!/bin/sh\nexec %q "$@"\n' "$gomcd" >"$dir/memcached-debug"
chmod -R a+rX "$dir"
chmod a+x "$dir/memcached-debug"
cd "$dir" || die "cannot enter $dir"

left_out() {
	case $1 in
	proxy* | *extstore* | ssl_* | binary-sasl.t | whitespace.t) true ;;
	*) false ;;
	esac
}

[ $# -gt 0 ] || set -- t/*.t
passed=0 failed=()
for file; do
	file=${file##*/}
	left_out "$file" && continue
	[ -f "t/$file" ] || die "there is no t/$file in $src"
	start=$SECONDS
	if timeout -k 5 "${TIMEOUT:-300}" perl -It/lib "t/$file" >"$file.log" 2>&1; then
		passed=$((passed + 1))
		why=$(sed -n 's/^1\.\.0 # SKIP/: skipped:/p' "$file.log")
		echo "ok      $file ($((SECONDS - start)) s)$why"
	else
		status=$?
		failed+=("$file")
		echo "FAILED  $file ($((SECONDS - start)) s, status $status)"
		grep -A4 '^not ok' "$file.log" | sed 's/^/        /' | head -40
		tail -3 "$file.log" | sed 's/^/        /'
	fi
done
echo "$passed passed, ${#failed[@]} failed${failed[*]:+: ${failed[*]}}"
[ ${#failed[@]} = 0 ]
