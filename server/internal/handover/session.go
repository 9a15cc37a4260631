package handover

import (
	"net"
	"net/netip"

	"gomcd/server/internal/record"
)

// Session is a connection whose handshake is done, and what its records are sealed
// with. There are no pointers in it.
type Session struct {
	Client   record.Keys // what the client seals with
	Server   record.Keys // what the server does; of the same suite
	Resumed  bool        // the client resumed a former session
	Listener uint16      // the number of the listener that accepted it
	Peer     Peer
	Name     Name // of the client's certificate; empty without one
}

// Wipe overwrites all that is secret, and the rest.
func (s *Session) Wipe() { *s = Session{} }

// Peer is a client's address.
type Peer struct {
	Family Family
	Port   uint16
	Scope  uint32   // the interface of a link-local IPv6 address, or 0
	Addr   [16]byte // the first 4 of IPv4
}

// Family is the kind of an address.
type Family uint8

const (
	NoAddress Family = 0 // as of a unix socket
	IPv4      Family = 4
	IPv6      Family = 6
)

// PeerOf is the peer with the address, which is a *net.TCPAddr; others have none. An
// IPv4 address that came in by an IPv6 socket stays one of IPv6.
func PeerOf(addr net.Addr) Peer {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || tcp == nil {
		return Peer{}
	}
	p := Peer{Port: uint16(tcp.Port)}
	if ip4 := tcp.IP.To4(); ip4 != nil && len(tcp.IP) == net.IPv4len {
		p.Family = IPv4
		copy(p.Addr[:], ip4)
	} else if len(tcp.IP) == net.IPv6len {
		p.Family = IPv6
		copy(p.Addr[:], tcp.IP)
	} else {
		return Peer{}
	}
	if tcp.Zone != "" && p.Family == IPv6 {
		if i, err := net.InterfaceByName(tcp.Zone); err == nil {
			p.Scope = uint32(i.Index)
		}
	}
	return p
}

// AddrPort is the address, without its scope; it is not valid for NoAddress.
func (p *Peer) AddrPort() netip.AddrPort {
	switch p.Family {
	case IPv4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(p.Addr[:4])), p.Port)
	case IPv6:
		return netip.AddrPortFrom(netip.AddrFrom16(p.Addr), p.Port)
	}
	return netip.AddrPort{}
}
