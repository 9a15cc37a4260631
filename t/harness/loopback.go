package harness

import "net"

// Loopbacks are this machine's loopback addresses that tests listen on: one of
// IPv4, and one of IPv6 where there is IPv6.
func Loopbacks() []string {
	all := []string{"127.0.0.1"}
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		l.Close()
		all = append(all, "::1")
	}
	return all
}
