#!/usr/bin/env bash
# run-arm64.sh GOMCD SANDBOX_TEST DIR: boots Debian's kernel for arm64 in an emulator, with
# nothing but busybox and the two programs, which are static. See make boot-test-arm64.
set -euo pipefail
gomcd=$(realpath "$1") tests=$(realpath "$2") dir=$(realpath "$3")
here=$(cd "$(dirname "$0")" && pwd)
say() { echo "boot-test: $*"; }
fail() { echo "boot-test: FAILED: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "needs root, for debootstrap"
mirror=${MIRROR:-http://deb.debian.org/debian}
[ -e "$dir/tools-arm64/.done" ] || {
	say "debootstrap tools-arm64"
	rm -rf "$dir/tools-arm64"
	debootstrap --variant=minbase --include=qemu-system-arm,cpio bookworm "$dir/tools-arm64" "$mirror" >"$dir/tools-arm64.log" 2>&1 || fail "debootstrap: see $dir/tools-arm64.log"
	touch "$dir/tools-arm64/.done"
}
[ -e "$dir/arm64/.done" ] || {
	say "the kernel"
	rm -rf "$dir/arm64"; mkdir -p "$dir"/arm64/{lists,cache/archives}/partial
	(
		cd "$dir/arm64"
		apt=(-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root -o Acquire::Languages=none
			-o Dir::State::lists="$PWD/lists" -o Dir::Cache="$PWD/cache" -o Dir::State::status=/dev/null)
		apt-get "${apt[@]}" update
		kernel=$(apt-cache "${apt[@]}" depends linux-image-cloud-arm64 | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -1)
		apt-get "${apt[@]}" download "$kernel" busybox-static
		for p in *.deb; do dpkg-deb -x "$p" root; done
	) >"$dir/arm64.log" 2>&1 || fail "the kernel: see $dir/arm64.log"
	touch "$dir/arm64/.done"
}
work=$dir/tools-arm64/machine
rm -rf "$work"; mkdir -p "$work"/root/{bin,proc,sys,dev,tmp,etc}
cp "$dir/arm64/root/bin/busybox" "$work/root/bin/"
cp "$gomcd" "$work/root/gomcd"; cp "$tests" "$work/root/sandbox.test"
install -m 755 "$here/init-arm64" "$work/root/init"
# Those of the sandbox's tests whose subject is what a kernel does with the filters. Each of
# their hundred cases is a process that boots: a second or two in an emulator, and half a
# minute where thirty others want the processor. What is left out, and what has the kernel's
# part in it instead:
# - TestSealed on other threads than main: ReadBack shows that they have main's filters;
# - TestCrashesAreTold of each kind in each role: each kind is tried in a worker, and a nil
#   pointer in each role;
# - TestViolations, TestShutdownSignal, TestEveryCall: hundreds of calls and arguments, of
#   which the programs of the filters decide. TestSealed, TestKillMode and TestAllowedCalls
#   have some of both kinds, and make cross resolves the tables for arm64.
# BOOT_TESTS=. runs all.
cases='ReadBack|ViolationLine|TestSealReaches|TestSealSignal|TestKillMode|TestAllowedCalls|TestSealed/main|TestCrashesAreTold/nil|TestCrashesAreTold/./worker'
echo "${BOOT_TESTS:-$cases}" >"$work/root/tests"
cp "$dir"/arm64/root/boot/vmlinuz-* "$work/vmlinuz"
chroot "$dir/tools-arm64" sh -c 'cd /machine/root && find . | cpio -o -H newc --quiet | gzip -1 >../initrd'
# With pauth-impdef pointers are authenticated by an algorithm of the emulator's own: the
# architecture's takes it as long as all the rest.
say "the machine"
timeout "${BOOT_TIMEOUT:-6000}" chroot "$dir/tools-arm64" qemu-system-aarch64 -machine virt -cpu max,pauth-impdef=on -accel tcg -smp 2 -m 1024 -nic none -nographic -no-reboot \
	-kernel /machine/vmlinuz -initrd /machine/initrd -append "console=ttyAMA0 panic=-1 quiet" </dev/null >"$dir/console-arm64" 2>&1 || say "the emulator ended with $?"
rm -rf "$work"
tr -d '\r' <"$dir/console-arm64" | sed -n '/boot-test:/,$p'
grep -q 'boot-test: passed' "$dir/console-arm64" || fail "see $dir/console-arm64"
