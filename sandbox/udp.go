package sandbox

import "golang.org/x/sys/unix"

// udp serves one UDP socket, whose thread has left the shared descriptor table
// (see [OwnDescriptors]): no other thread has the socket, and this one has
// nothing else. It waits by receiving, so that it needs no epoll.
func udp(p Params) Profile {
	rules := equal("recvfrom", "receives requests, and waits for them", p.UDPFDs, "UDP socket", Is(3, 0, "no flags"))
	for _, size := range []uint64{unix.SizeofSockaddrInet4, unix.SizeofSockaddrInet6} {
		sends := equal("sendto", "sends replies to whom the request came from", p.UDPFDs, "UDP socket",
			Is(3, 0, "no flags"), Is(5, size, sockaddrName(size)))
		for _, r := range sends {
			if size == unix.SizeofSockaddrInet6 {
				r = r.unseen("only where there is IPv6")
			}
			rules = append(rules, r)
		}
	}
	rules = append(rules, threadRules()...)
	rules = append(rules, shutdownRules(p)...)
	return Profile{Role: UDP, Rules: rules}
}

// sockaddrName is what has a size, for a reader.
func sockaddrName(size uint64) string {
	if size == unix.SizeofSockaddrInet4 {
		return "sizeof(struct sockaddr_in)"
	}
	return "sizeof(struct sockaddr_in6)"
}
