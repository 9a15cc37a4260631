package main

import "gomcd/server"

// defaults is the configuration without any flag.
func defaults() server.Config {
	cfg := server.Defaults()
	cfg.Version, cfg.OwnVersion = compatible, own
	return cfg
}

// The protocols as the configuration and `stats settings` name them.
const (
	protocolAuto   = "auto-negotiate"
	protocolASCII  = "ascii"
	protocolBinary = "binary"
)

const (
	sandboxEnforce = "enforce"
	sandboxOff     = "off"
)
