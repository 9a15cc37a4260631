# The Debian package: installed, started, stopped, upgraded, removed, purged.
kind=deb
. /tried/try.sh
mv /tried/first /tried/first.deb; mv /tried/next /tried/next.deb
files >/tmp/before
say "install, start, stop"
quietly "dpkg -i" dpkg -i /tried/first.deb
getent passwd gomcd >/dev/null || fail "there is no user gomcd"
gomcd -V | head -1
start 64; stop
say "upgrade"
sed -i 's/^-m 64$/-m 96/' /etc/gomcd.conf
quietly upgrade dpkg -i /tried/next.deb
same "$(dpkg-query -W -f '${Version}' gomcd | sed 's/.*-//')" 2 "the version after the upgrade"
start 96; stop
say "remove, purge"
quietly remove dpkg -r gomcd
[ -e /etc/gomcd.conf ] || fail "removing has lost /etc/gomcd.conf"
quietly purge dpkg -P gomcd
getent passwd gomcd && fail "the user is left over"
files >/tmp/after
diff /tmp/before /tmp/after || fail "purge leaves the files above"
