#!/usr/bin/env bash
# run.sh DEB DIR SUITE...: boots a Debian of each suite in an emulator, with the package
# installed, and looks how gomcd does under its systemd and kernel. SUITE+OTHER is one
# with the kernel of another suite. BOOT_TRIES names some of the tries, to carry out only
# those. See make boot-test.
# The emulator is in a root of its own, so that the host gets nothing.
set -euo pipefail
deb=$(realpath "$1") dir=$(realpath "$2"); shift 2
here=$(cd "$(dirname "$0")" && pwd)
say() { echo "boot-test: $*"; }
fail() { echo "boot-test: FAILED: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "needs root, for debootstrap"
mirror=${MIRROR:-http://deb.debian.org/debian}
# root NAME SUITE PACKAGES [KERNEL'S SUITE]: makes a root, once.
root() {
	[ "$(cat "$dir/$1/.done" 2>/dev/null)" = "$2 $3" ] && return
	say "debootstrap $1"
	rm -rf "${dir:?}/$1"
	debootstrap --variant=minbase --include="$3" "$2" "$dir/$1" "$mirror" >"$dir/$1.log" 2>&1 || fail "debootstrap: see $dir/$1.log"
	if [ "${4:-$2}" != "$2" ]; then
		echo "deb $mirror $4 main" >"$dir/$1/etc/apt/sources.list.d/kernel.list"
		chroot "$dir/$1" sh -c "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -t $4 linux-image-cloud-amd64" \
			>>"$dir/$1.log" 2>&1 || fail "the kernel of $4: see $dir/$1.log"
	fi
	rm -f "$dir/$1"/var/cache/apt/archives/*.deb
	echo "$2 $3" >"$dir/$1/.done"
}
root tools bookworm qemu-system-x86,seabios,e2fsprogs
for suite in "$@"; do
	guest=guest-$suite
	own=${suite%+*} kernel=${suite#*+} packages=systemd-sysv,udev,dbus,apparmor,libseccomp2,memcached,procps,kmod,iproute2,openssl
	if [ "$own" = "$kernel" ]; then packages=$packages,linux-image-cloud-amd64; fi
	root $guest "$own" $packages "$kernel"
	say "$suite: the image"
	rm -rf "$dir/tools/machine"; mkdir -p "$dir/tools/machine/root"
	cp -a "$dir/$guest/." "$dir/tools/machine/root"
	(
		cd "$dir/tools/machine/root"
		install -m 755 "$here/probe.sh" usr/local/bin/probe
		cp -a "$here/tries" usr/local/lib/
		cp "$deb" "$here/../../README.md" usr/local/lib/tries/
		chroot . sh -c 'dpkg -i /usr/local/lib/tries/*.deb' >"$dir/install.log" 2>&1 || fail "dpkg -i: see $dir/install.log"
		if [ -n "${BOOT_TRIES:-}" ]; then echo "$BOOT_TRIES" >usr/local/lib/tries/only; fi
		install -m 644 "$here/probe.service" etc/systemd/system/probe.service
		mkdir -p etc/systemd/system/multi-user.target.wants
		ln -sf /etc/systemd/system/probe.service etc/systemd/system/multi-user.target.wants/
		ln -sf /dev/null etc/systemd/system/serial-getty@ttyS0.service
		ln -sf /dev/null etc/systemd/system/memcached.service
		echo '/dev/vda / ext4 defaults 0 1' >etc/fstab
		cp boot/vmlinuz-* ../vmlinuz; cp boot/initrd.img-* ../initrd
	)
	chroot "$dir/tools" mke2fs -q -t ext4 -d /machine/root /machine/disk 1500M
	rm -rf "$dir/tools/machine/root"
	say "$suite: the machine"
	timeout "${BOOT_TIMEOUT:-3600}" chroot "$dir/tools" qemu-system-x86_64 -accel tcg -cpu max,cx16=off -smp 2 -m 1024 -nic none -nographic -no-reboot \
		-kernel /machine/vmlinuz -initrd /machine/initrd -append "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=no" \
		-drive file=/machine/disk,if=virtio,format=raw,cache=unsafe </dev/null >"$dir/console-$suite" 2>&1 || say "the emulator ended with $?"
	rm -rf "$dir/tools/machine"
	tr -d '\r' <"$dir/console-$suite" | sed -n '/boot-test:/,$p' | sed 's/^.*boot-test:/boot-test:/'
	grep -q 'boot-test: passed' "$dir/console-$suite" || fail "$suite: see $dir/console-$suite"
done
