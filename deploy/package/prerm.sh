#!/bin/sh
set -e

# An upgrade restarts the servers when the new one is there.
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    deb-systemd-invoke stop gomcd.socket gomcd.service 'gomcd@*.service' >/dev/null || true
fi
