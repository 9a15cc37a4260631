#!/bin/sh
if [ "$1" = 0 ] && [ -d /run/systemd/system ]; then
    systemctl disable --now gomcd.socket gomcd.service || :
fi
