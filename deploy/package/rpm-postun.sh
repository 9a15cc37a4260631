#!/bin/sh
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
    [ "$1" = 0 ] || systemctl try-restart gomcd.service 'gomcd@*.service' || :
fi
