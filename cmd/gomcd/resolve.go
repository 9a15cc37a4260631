package main

// #include <errno.h>
// #include <netdb.h>
// #include <stdlib.h>
import "C"

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// resolve finds the addresses of a host with libc's getaddrinfo, for two
// reasons. It is what memcached uses, so that every way to write an address
// means the same. And package net would bring the Go runtime's poller into the
// process, whose system calls the sandbox does not allow.
func resolve(host string) ([]netip.Addr, error) {
	var node *C.char
	if host != everywhere {
		node = C.CString(host)
		defer C.free(unsafe.Pointer(node))
	}
	service := C.CString("0")
	defer C.free(unsafe.Pointer(service))
	hints := C.struct_addrinfo{
		ai_flags: C.AI_PASSIVE, ai_family: C.AF_UNSPEC, ai_socktype: C.SOCK_STREAM,
	}
	var list *C.struct_addrinfo
	if code, err := C.getaddrinfo(node, service, &hints, &list); code == C.EAI_SYSTEM {
		return nil, fmt.Errorf("getaddrinfo: %w", err)
	} else if code != 0 {
		return nil, errors.New("getaddrinfo: " + C.GoString(C.gai_strerror(code)))
	}
	defer C.freeaddrinfo(list)
	var addrs []netip.Addr
	for ai := list; ai != nil; ai = ai.ai_next {
		switch ai.ai_family {
		case C.AF_INET:
			sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(ai.ai_addr))
			addrs = append(addrs, netip.AddrFrom4(sa.Addr))
		case C.AF_INET6:
			sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(ai.ai_addr))
			a := netip.AddrFrom16(sa.Addr)
			if sa.Scope_id != 0 {
				a = a.WithZone(strconv.FormatUint(uint64(sa.Scope_id), 10))
			}
			addrs = append(addrs, a)
		}
	}
	if len(addrs) == 0 {
		return nil, errors.New("getaddrinfo: no IPv4 or IPv6 address")
	}
	return addrs, nil
}
