package main

import (
	"net/netip"
	"slices"
	"strings"

	"gomcd/server"
)

// anyPort is what memcached calls a port that the system is to choose. What
// the choice was is written to $MEMCACHED_PORT_FILENAME.
const anyPort = -1

// listenSeparators stand between addresses of -l.
const listenSeparators = ",;"

// addListen reads -l, which can be given several times and be a list. An
// address that is there already is not repeated.
func (c *command) addListen(v string) error {
	c.listenGiven = true
	added := false
	for one := range strings.FieldsFuncSeq(v, func(r rune) bool { return strings.ContainsRune(listenSeparators, r) }) {
		if !slices.Contains(c.listen, one) {
			c.listen = append(c.listen, one)
			added = true
		}
	}
	switch {
	case c.cfg.Inter == "":
		c.cfg.Inter = v
	case added:
		c.cfg.Inter += "," + v
	}
	return nil
}

// listening finds the addresses to listen on.
func (c *command) listening() error {
	cfg := &c.cfg
	if cfg.UnixSocket != "" {
		return nil
	}
	specs := c.listen
	if !c.listenGiven {
		specs = []string{everywhere}
	}
	for _, transport := range []struct {
		port  int // of addresses without one; 0 is off
		addrs *[]server.ListenAddr
		tls   bool // it can have TLS
	}{{cfg.Port, &cfg.Listen, true}, {cfg.UDPPort, &cfg.ListenUDP, false}} {
		if transport.port == 0 {
			continue
		}
		for _, spec := range specs {
			l, err := c.parseListen(spec, transport.port)
			if !transport.tls {
				l.tls = server.NoTLS
			}
			if err == nil {
				err = l.lookUp(transport.addrs)
			}
			if err != nil {
				return usageError(server.ExitOSErr, "failed to listen on one of interface(s) %s: %q: %w", cfg.Inter, spec, err)
			}
		}
	}
	return nil
}

// everywhere is all of the machine's addresses.
const everywhere = "*"

// listenSpec is one address of -l as it was written.
type listenSpec struct {
	host, tag, proto string
	tls              server.TLSMode
	port             int
}

// parseListen reads [notls:|btls:|mtls:][proto[PROTOCOL]:][tag[NAME]:]ADDR[:PORT]. A tag may be
// written tag_NAME_ as well, for brackets mean something to shells. The port, if
// not given, is the transport's.
func (c *command) parseListen(spec string, port int) (l listenSpec, err error) {
	l.port = port
	rest := spec
	if c.cfg.TLS.Enabled {
		l.tls = server.DefaultTLS
	}
	for prefix, mode := range map[string]server.TLSMode{"notls": server.NoTLS, "btls": server.BasicTLS, "mtls": server.MutualTLS} {
		if after, found := strings.CutPrefix(rest, prefix+":"); found {
			if !c.cfg.TLS.Enabled {
				return l, usageError(server.ExitOSErr, "'%s' option is valid only when SSL is enabled (-Z)", prefix)
			}
			l.tls, rest = mode, after
			break
		}
	}
	if after, found := strings.CutPrefix(rest, "proto["); found {
		name, after, closed := strings.Cut(after, "]:")
		if !closed {
			return l, usageError(server.ExitOSErr, "Invalid protocol spec: it is proto[<protocol>]:")
		}
		if l.proto, err = c.listenProtocol(name); err != nil {
			return l, err
		}
		rest = after
	}
	for _, marks := range [][2]string{{"tag[", "]:"}, {"tag_", "_:"}} {
		after, found := strings.CutPrefix(rest, marks[0])
		if !found {
			continue
		}
		name, after, closed := strings.Cut(after, marks[1])
		switch {
		case !closed:
			return l, usageError(server.ExitOSErr, "Invalid tag in socket config: it is tag[<name>]: or tag_<name>_:")
		case len(name) < 1 || len(name) > 8:
			return l, usageError(server.ExitOSErr, "Listener tags must be between 1 and 8 characters")
		}
		l.tag, rest = name, after
		break
	}
	return l, l.parseAddr(rest)
}

// listenProtocol is the protocol of one listener, whose name may be shortened.
func (c *command) listenProtocol(name string) (string, error) {
	sasl := c.cfg.SASL
	auth := c.cfg.AuthFile != "" && !sasl
	switch {
	case name == "":
	case strings.HasPrefix("ascii", name):
		if sasl {
			return "", usageError(server.ExitOSErr, "Cannot use ascii protocol when SASL authentication enabled (-S)")
		}
		return protocolASCII, nil
	case strings.HasPrefix("binary", name):
		if auth {
			return "", usageError(server.ExitOSErr, "Cannot use binary protocol when ascii authentication enabled")
		}
		return protocolBinary, nil
	case strings.HasPrefix("negotiating", name):
		if auth {
			c.warn("WARNING: negotiating ports are ascii only when ascii authentication enabled (-Y)")
			return protocolASCII, nil
		}
		if sasl {
			c.warn("WARNING: negotiating ports are binary only when SASL authentication enabled (-S)")
			return protocolBinary, nil
		}
		return protocolAuto, nil
	case strings.HasPrefix("proxy", name):
		return "", usageError(server.ExitOSErr, "Server not built with proxy: it is not supported")
	}
	return "", usageError(server.ExitOSErr, "Invalid protocol spec: %q is not one of ascii, binary and negotiating", name)
}

// parseAddr reads ADDR[:PORT], where ADDR is an address, a host name, or * for
// all. An IPv6 address is in brackets if a port follows.
func (l *listenSpec) parseAddr(s string) error {
	port, given := "", false
	if after, bracket := strings.CutPrefix(s, "["); bracket {
		host, after, closed := strings.Cut(after, "]")
		if !closed || after != "" && after[0] != ':' {
			return usageError(server.ExitOSErr, "Invalid IPV6 address: it is [<address>]:<port>")
		}
		l.host = host
		port, given = strings.CutPrefix(after, ":")
	} else if l.host = s; strings.Count(s, ":") == 1 {
		l.host, port, given = strings.Cut(s, ":")
	}
	if !given {
		return nil
	}
	n, ok := strictInt(port)
	if !ok || n > maxPort || n < anyPort {
		return usageError(server.ExitOSErr, "Invalid port number: %q", port)
	}
	l.port = n
	return nil
}

// lookUp adds the addresses that a host has to those of a transport.
func (l listenSpec) lookUp(list *[]server.ListenAddr) error {
	addrs, err := resolve(l.host)
	if err != nil {
		return err
	}
	v4 := slices.ContainsFunc(addrs, netip.Addr.Is4)
	host := len(*list)
	for _, a := range addrs {
		*list = append(*list, server.ListenAddr{
			Addr: netip.AddrPortFrom(a, uint16(max(l.port, 0))), Tag: l.tag, Proto: l.proto, TLS: l.tls, Host: host,
			// Hosts often have names for IPv6 addresses without having IPv6.
			Implicit: l.host == everywhere || a.Is6() && v4,
		})
	}
	return nil
}

// setMetrics reads --metrics: an address and a port, or a port alone.
func (c *command) setMetrics(v string) error {
	if _, ok := strictUint(v); ok || strings.HasPrefix(v, ":") {
		v = "127.0.0.1:" + strings.TrimPrefix(v, ":")
	}
	l := listenSpec{}
	if err := l.parseAddr(v); err != nil {
		return err
	}
	if l.port == 0 {
		return usageError(server.ExitUsage, "a port is missing: it is <port> or <addr>:<port>")
	}
	c.metrics = l
	return nil
}

// metricsAddr finds the address of --metrics.
func (c *command) metricsAddr() error {
	if c.metrics.port == 0 {
		return nil
	}
	var addrs []server.ListenAddr
	if err := c.metrics.lookUp(&addrs); err != nil {
		return usageError(server.ExitOSErr, "--metrics %s: %w", c.metrics.host, err)
	}
	c.cfg.Metrics = oneOf(addrs)
	return nil
}

// oneOf is which address of a name has the metrics: there is one listener, because the
// filter names its descriptor. If there is an IPv4 address it is the first of those, for
// names such as localhost have ::1 first, where a client of 127.0.0.1 finds nothing.
func oneOf(addrs []server.ListenAddr) *server.ListenAddr {
	i := slices.IndexFunc(addrs, func(a server.ListenAddr) bool { return a.Addr.Addr().Is4() })
	return &addrs[max(i, 0)]
}
