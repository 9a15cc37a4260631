#!/bin/sh
if [ "$1" = 0 ] && [ -d /run/systemd/system ]; then
    systemctl disable --now gomcd.socket gomcd.service || :
    systemctl stop 'gomcd@*.service' || :
    systemctl disable gomcd@.service || : # all instances
fi
