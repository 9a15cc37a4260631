package main

import (
	"os/user"
	"strconv"
	"strings"

	"gomcd/sandbox"
	"gomcd/server"
)

// check looks at what must fit together, in memcached's order: of several
// misuses it is the first that decides on the exit status.
func (c *command) check() error {
	cfg := &c.cfg
	if !c.listenGiven && c.listenDefault != "" {
		if err := c.addListen(c.listenDefault); err != nil {
			return err
		}
	}
	if c.napiIDs > cfg.Threads {
		return usageError(server.ExitUsage, "Number of napi_ids(%d) cannot be greater than number of threads(%d)", c.napiIDs, cfg.Threads)
	}
	if err := c.checkSizes(); err != nil {
		return err
	}
	switch {
	case c.profileFormat != "" && c.print == "":
		return usageError(server.ExitUsage, "--format is for --print-profile")
	case cfg.HotLRUPct+cfg.WarmLRUPct > 80:
		return usageError(server.ExitUsage, "hot_lru_pct + warm_lru_pct cannot be more than 80%% combined")
	case cfg.TempLRU && !cfg.LRUMaintainer:
		return usageError(server.ExitUsage, "temporary_ttl requires lru_maintainer to be enabled")
	case cfg.SASL && c.protocolGiven && cfg.Protocol != protocolBinary:
		return usageError(server.ExitUsage, "ERROR: You cannot allow the ASCII protocol while using SASL.")
	case cfg.SASL && cfg.UDPPort != 0:
		return usageError(server.ExitUsage, "ERROR: Cannot enable UDP while using binary SASL authentication.")
	case cfg.SASL && cfg.AuthFile != "":
		return usageError(server.ExitUsage, "ERROR: only one of -S and -Y can be used: clients log in by the binary protocol or by the ascii one")
	case cfg.SASL && c.saslFile == "":
		return usageError(server.ExitFailure, "Error initializing sasl: -S needs a file of users, which MEMCACHED_SASL_PWDB names")
	case cfg.AuthFile != "" && c.protocolGiven && cfg.Protocol != protocolASCII:
		return usageError(server.ExitUsage, "ERROR: only the ascii protocol can be used with an authentication file (-Y)")
	case cfg.AuthFile != "" && cfg.UDPPort != 0:
		return usageError(server.ExitUsage, "Cannot use UDP with ascii authentication enabled (-U 0 to disable)")
	}
	switch {
	case cfg.SASL:
		cfg.Protocol, cfg.AuthFile = protocolBinary, c.saslFile
	case cfg.AuthFile != "":
		cfg.Protocol = protocolASCII
	}
	if c.udpGiven && cfg.UDPPort != 0 && !c.portGiven {
		cfg.Port = cfg.UDPPort
	}
	return c.checkPorts()
}

func (c *command) checkSizes() error {
	cfg := &c.cfg
	switch {
	case cfg.ItemSizeMax < 1<<10:
		return usageError(server.ExitUsage, "Item max size (-I) cannot be less than 1024 bytes.")
	case cfg.ItemSizeMax > cfg.MemLimit/2:
		return usageError(server.ExitUsage, "Cannot set item size limit (-I, here %d bytes) higher than 1/2 of memory max (-m, here %d bytes).", cfg.ItemSizeMax, cfg.MemLimit)
	case cfg.MaxMemLimit != 0 && cfg.MaxMemLimit < cfg.MemLimit:
		return usageError(server.ExitUsage, "cache_memlimit_max (%d megabytes) cannot be less than -m (%d)", cfg.MaxMemLimit>>20, cfg.MemLimit>>20)
	case cfg.MaxMemLimit != 0 && cfg.MemoryFile != "":
		return usageError(server.ExitUsage, "cache_memlimit_max is without effect with a memory file (-e), which keeps its size")
	case cfg.ItemSizeMax > 1<<30:
		return usageError(server.ExitUsage, "Cannot set item size limit (-I) higher than a gigabyte.")
	}
	if cfg.ItemSizeMax > 1<<20 && !c.chunkMaxGiven {
		cfg.SlabChunkMax = cfg.SlabPageSize / 2
	}
	switch {
	case cfg.SlabChunkMax > cfg.ItemSizeMax:
		return usageError(server.ExitUsage, "slab_chunk_max (bytes: %d) cannot be larger than -I (item_size_max %d)", cfg.SlabChunkMax, cfg.ItemSizeMax)
	case cfg.ItemSizeMax%cfg.SlabChunkMax != 0:
		return usageError(server.ExitUsage, "-I (item_size_max: %d) must be evenly divisible by slab_chunk_max (bytes: %d)", cfg.ItemSizeMax, cfg.SlabChunkMax)
	case cfg.SlabPageSize%cfg.SlabChunkMax != 0:
		return usageError(server.ExitUsage, "slab_chunk_max (bytes: %d) must divide evenly into %d (slab_page_size)", cfg.SlabChunkMax, cfg.SlabPageSize)
	}
	if c.slabSizesGiven {
		return c.readSlabSizes()
	}
	return nil
}

const (
	maxSlabSizes   = 62 // classes that can be named, as with memcached
	chunkAlignment = 8
)

// readSlabSizes reads -o slab_sizes, which depends on -n and slab_chunk_max
// wherever those are on the command line.
func (c *command) readSlabSizes() error {
	last := 0
	for word := range strings.FieldsFuncSeq(c.slabSizes, func(r rune) bool { return r == '-' }) {
		n, ok := strictUint(word)
		size := int(n)
		switch {
		case !ok || size < c.cfg.ChunkSize || int64(size) > c.cfg.SlabChunkMax:
			return usageError(server.ExitUsage, "slab size %s is out of valid range: from -n (%d) to slab_chunk_max (%d)", word, c.cfg.ChunkSize, c.cfg.SlabChunkMax)
		case size <= last:
			return usageError(server.ExitUsage, "slab size %d cannot be lower than or equal to a previous class size", size)
		case size <= last+chunkAlignment:
			return usageError(server.ExitUsage, "slab size %d must be more than %d bytes larger than the previous class", size, chunkAlignment)
		case len(c.cfg.SlabSizes) == maxSlabSizes:
			return usageError(server.ExitUsage, "too many slab classes specified")
		}
		c.cfg.SlabSizes = append(c.cfg.SlabSizes, size)
		last = size
	}
	if last == 0 {
		return usageError(server.ExitUsage, "-o slab_sizes names no sizes")
	}
	return nil
}

const maxPort = 65535

func (c *command) checkPorts() error {
	cfg := &c.cfg
	switch {
	case cfg.Port > maxPort:
		return usageError(server.ExitUsage, "ERROR: Invalid port number %d.", cfg.Port)
	case cfg.Port < anyPort:
		return usageError(server.ExitOSErr, "failed to listen on TCP port %d: there is no such port", cfg.Port)
	case cfg.UDPPort > maxPort || cfg.UDPPort < anyPort:
		return usageError(server.ExitOSErr, "failed to listen on UDP port %d: there is no such port", cfg.UDPPort)
	}
	if cfg.TLS.Enabled {
		if err := c.checkTLS(); err != nil {
			return err
		}
	}
	switch {
	case c.passed.count > 0:
		return c.checkPassed()
	case cfg.UnixSocket != "":
	case c.listenGiven && len(c.listen) == 0:
		c.warn("WARNING: nothing is listened on: -l has no address")
	case cfg.Port == 0 && cfg.UDPPort == 0:
		c.warn("WARNING: nothing is listened on: -p 0, and neither -U nor -s")
	}
	return nil
}

func (c *command) checkTLS() error {
	switch {
	case c.cfg.Port == 0 && c.passed.count == 0:
		return usageError(server.ExitUsage, "ERROR: You cannot enable SSL without a TCP port.")
	case c.cfg.TLS.ChainCert == "":
		return usageError(server.ExitUsage, "Error loading the certificate chain: no file is given (-o ssl_chain_cert)")
	}
	return nil
}

// sandbox reads --sandbox; the server reads it once more.
func (c *command) sandbox(v string) error {
	if _, err := sandbox.ParseModes(v); err != nil {
		return usageError(server.ExitUsage, "%w", err)
	}
	c.cfg.Sandbox = v
	return nil
}

func (c *command) allow(v string) error {
	if _, err := sandbox.ParseAllowance(v); err != nil {
		return usageError(server.ExitUsage, "%w", err)
	}
	c.cfg.SandboxAllow = append(c.cfg.SandboxAllow, v)
	return nil
}

// identity finds the user to become, if we are root. Anybody else stays who
// they are, whatever -u says.
func (c *command) identity(root bool) error {
	if !root {
		return nil
	}
	name := c.cfg.User
	if name == "" {
		return usageError(server.ExitUsage, "must add '-u root' to start as root; better, name a user without privileges")
	}
	u, err := user.Lookup(name)
	if _, unknown := err.(user.UnknownUserError); unknown {
		return usageError(server.ExitNoUser, "can't find the user %s to switch to", name)
	}
	if err != nil {
		return usageError(server.ExitNoUser, "can't find the user %s to switch to: %w", name, err)
	}
	if c.cfg.UID, err = strconv.Atoi(u.Uid); err == nil {
		c.cfg.GID, err = strconv.Atoi(u.Gid)
	}
	if err != nil {
		return usageError(server.ExitNoUser, "can't switch to the user %s: %w", name, err)
	}
	return nil
}
