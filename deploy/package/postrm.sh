#!/bin/sh
set -e

if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null || true
fi
if [ "$1" = remove ] && command -v deb-systemd-helper >/dev/null; then
    deb-systemd-helper mask gomcd.service >/dev/null || true
fi
if [ "$1" = purge ]; then
    rm -f /etc/systemd/system/multi-user.target.wants/gomcd@*.service
    if command -v deb-systemd-helper >/dev/null; then
        deb-systemd-helper purge gomcd.service >/dev/null || true
        deb-systemd-helper unmask gomcd.service >/dev/null || true
    fi
    if getent passwd gomcd >/dev/null; then
        userdel gomcd >/dev/null || true
    fi
fi
