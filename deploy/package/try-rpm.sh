# The RPM package, in a Debian that has rpm: installed, verified, started, stopped,
# upgraded, erased. No package there provides what it requires: that is looked at here.
kind=rpm
. /tried/try.sh
mkdir -p /usr/share/{fish/vendor_completions.d,zsh/site-functions} # which Fedora's filesystem has
files >/tmp/before
say "install, verify, start, stop"
quietly "rpm -i" rpm -i --nodeps /tried/first
for need in $(rpm -q --requires gomcd | grep -v '^rpmlib'); do
	case $need in
	lib*.so.*) ldconfig -p | grep -q "^.${need%%(*} " || fail "$need is not there" ;;
	shadow-utils) command -v useradd >/dev/null || fail "there is no useradd" ;;
	/bin/sh) ;;
	*) fail "it requires $need" ;;
	esac
done
ldd /usr/bin/gomcd | sed -n 's/^\t\(lib.*\) => .*/\1/p' | while read -r lib; do
	rpm -q --requires gomcd | grep -q "^$lib" || fail "it does not require $lib"
done
quietly "rpm -V" rpm -V --nodeps gomcd
getent passwd gomcd >/dev/null || fail "there is no user gomcd"
start 64; stop
say "upgrade"
sed -i 's/^-m 64$/-m 96/' /etc/gomcd.conf
quietly "rpm -U" rpm -U --nodeps /tried/next
same "$(rpm -q --qf '%{release}' gomcd)" 2 "the release after the upgrade"
same "$(rpm -V --nodeps gomcd | sed 's/.* //')" /etc/gomcd.conf "what differs from the package"
start 96; stop
say "erase"
quietly "rpm -e" rpm -e gomcd
[ -e /etc/gomcd.conf.rpmsave ] || fail "erasing has lost /etc/gomcd.conf"
rm /etc/gomcd.conf.rpmsave
# The user stays, as is usual there, so that no other gets its files.
files >/tmp/after
diff /tmp/before /tmp/after || fail "rpm -e leaves the files above"
