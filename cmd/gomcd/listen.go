package main

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"gomcd/server"

	"github.com/spf13/pflag"
)

// listening makes the addresses to listen on of -l and -p. Names are looked up
// here, before the sandbox closes.
func (c *command) listening(r *raw, fs *pflag.FlagSet) error {
	cfg := &c.cfg
	cfg.Inter = joined(r.listen)
	if cfg.UnixSocket != "" || c.print != "" {
		return nil
	}
	if len(r.listen) == 0 {
		if cfg.Port == 0 {
			c.warn("nothing is listened on: -p 0 and no -s")
			return nil
		}
		for _, any := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			cfg.Listen = append(cfg.Listen, server.ListenAddr{Addr: at(any, cfg.Port), Implicit: true})
		}
		return nil
	}
	seen := map[string]bool{}
	for _, one := range strings.FieldsFunc(cfg.Inter, func(r rune) bool { return r == ',' || r == ';' }) {
		if seen[one] {
			continue
		}
		seen[one] = true
		addrs, err := parseListen(one, cfg.Port)
		if err != nil {
			return err
		}
		cfg.Listen = append(cfg.Listen, addrs...)
	}
	_ = fs
	return nil
}

// at is an address with a port; port -1 is any free one.
func at(addr netip.Addr, port int) netip.AddrPort {
	return netip.AddrPortFrom(addr, uint16(max(port, 0)))
}

// parseListen reads one of -l: [proto[NAME]:][tag[NAME]:]HOST[:PORT], where
// HOST is an address (IPv6 in brackets if a port follows), a name, or * for
// any.
func parseListen(s string, port int) ([]server.ListenAddr, error) {
	bad := func(why string) error {
		return usageError(server.ExitOSErr, "cannot listen on %q: %s", s, why)
	}
	var l server.ListenAddr
	rest := strings.TrimSpace(s)
	for {
		inner, after, ok := prefixed(rest, "proto")
		if ok {
			switch inner {
			case "ascii", "negotiating":
				l.Proto = inner
			case "binary", "proxy":
				return nil, usageError(server.ExitUsage, "gomcd does not support the %s protocol (-l %s)", inner, s)
			default:
				return nil, bad("the protocol is not ascii or negotiating")
			}
			rest = after
			continue
		}
		if inner, after, ok = prefixed(rest, "tag"); ok {
			if inner == "" || len(inner) > 8 {
				return nil, bad("a tag has 1 to 8 characters")
			}
			l.Tag, rest = inner, after
			continue
		}
		break
	}
	host := rest
	switch {
	case strings.HasPrefix(rest, "["):
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			return nil, bad("a ']' is missing")
		}
		host = rest[1:end]
		if tail := rest[end+1:]; strings.HasPrefix(tail, ":") {
			rest = tail
		} else if tail != "" {
			return nil, bad("a ':' should follow the ']'")
		} else {
			rest = ""
		}
	case strings.Count(rest, ":") == 1:
		host, rest, _ = strings.Cut(rest, ":")
		rest = ":" + rest
	default:
		rest = ""
	}
	if rest != "" {
		n, err := strconv.Atoi(rest[1:])
		if err != nil || n < -1 || n > 65535 || n == 0 {
			return nil, bad("the port is not a number from 1 to 65535")
		}
		port = n
	}
	if port == 0 {
		return nil, bad("there is no port (-p 0)")
	}
	addrs, err := resolve(host)
	if err != nil {
		return nil, bad(err.Error())
	}
	var all []server.ListenAddr
	for _, a := range addrs {
		l.Addr = at(a, port)
		all = append(all, l)
	}
	return all, nil
}

// prefixed splits "word[inner]:after".
func prefixed(s, word string) (inner, after string, ok bool) {
	tail, ok := strings.CutPrefix(s, word+"[")
	if !ok {
		return "", "", false
	}
	inner, after, ok = strings.Cut(tail, "]:")
	return inner, after, ok
}

// resolve finds the addresses of a host.
func resolve(host string) ([]netip.Addr, error) {
	if host == "*" {
		return []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}, nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	found, err := net.DefaultResolver.LookupNetIP(context.Background(), "ip", host)
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, a := range found {
		addrs = append(addrs, a.Unmap())
	}
	return addrs, nil
}
