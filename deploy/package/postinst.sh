#!/bin/sh
set -e

if [ "$1" = configure ]; then
    if ! getent passwd gomcd >/dev/null; then
        useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin gomcd
    fi
    if command -v apparmor_parser >/dev/null && [ -d /sys/kernel/security/apparmor ]; then
        apparmor_parser --replace --write-cache --skip-bad-cache /etc/apparmor.d/gomcd || true
    fi
    deb-systemd-helper unmask gomcd.service >/dev/null || true
    if deb-systemd-helper --quiet was-enabled gomcd.service; then
        deb-systemd-helper enable gomcd.service >/dev/null || true
    else
        deb-systemd-helper update-state gomcd.service >/dev/null || true
    fi
    if [ -d /run/systemd/system ]; then
        systemctl --system daemon-reload >/dev/null || true
        # $2 is the version that was there before. A first start that cannot succeed,
        # because memcached serves, would only use up the unit's tries.
        if [ -n "$2" ]; then
            deb-systemd-invoke restart gomcd.service >/dev/null || true
            deb-systemd-invoke try-restart 'gomcd@*.service' >/dev/null || true
        elif why=$(gomcd --check -u gomcd --listen-default=127.0.0.1,::1 --config=-/etc/gomcd.conf \
            --config=-/etc/default/gomcd --config=-/etc/sysconfig/gomcd 2>&1); then
            deb-systemd-invoke start gomcd.service >/dev/null || true
        else
            echo "gomcd.service is enabled but not started: $(echo "$why" | tail -n 1)"
        fi
    fi
fi
