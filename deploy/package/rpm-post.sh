#!/bin/sh
getent passwd gomcd >/dev/null ||
    useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /sbin/nologin gomcd || :
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
    # $1 is how many versions are installed now.
    [ "$1" -gt 1 ] || systemctl preset gomcd.service || :
fi
