package main

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// neighbours are clients that misbehave while another one is measured. They run on the
// generator's processor. They end when stop is closed; begin returns when they are there,
// and wait returns when they are gone.
type neighbours func(addr string, stop <-chan struct{}) (wait func(), err error)

// pipeliners are 50 connections that send 200,000 gets each, as much of it as the server
// takes within a second, and never read; then each is replaced by a new one.
func pipeliners(addr string, stop <-chan struct{}) (wait func(), err error) {
	if err := storeOne(addr, "k", 100); err != nil {
		return nil, err
	}
	text := []byte(strings.Repeat("get k\r\n", 200_000))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := dial(addr, nil)
				if err != nil {
					time.Sleep(10 * time.Millisecond) // the server is full of those that it has not closed yet
					continue
				}
				c.SetWriteDeadline(time.Now().Add(time.Second))
				c.Write(text)
				c.Close()
			}
		})
	}
	return wg.Wait, nil
}

// deafReaders are 200 connections that ask for 200 values of 1,000,000 bytes each, and
// never read.
func deafReaders(addr string, stop <-chan struct{}) (wait func(), err error) {
	if err := storeOne(addr, "big", 1_000_000); err != nil {
		return nil, err
	}
	text := []byte(strings.Repeat("get big\r\n", 200))
	var open []net.Conn
	closeAll := func() {
		<-stop
		for _, c := range open {
			c.Close()
		}
	}
	for range 200 {
		c, err := dial(addr, nil)
		if err != nil {
			return nil, err
		}
		open = append(open, c)
		c.SetWriteDeadline(time.Now().Add(patience))
		if _, err := c.Write(text); err != nil {
			return nil, err
		}
	}
	return closeAll, nil
}

// storeOne stores a value of so many bytes.
func storeOne(addr, key string, size int) error {
	c, err := dial(addr, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(c, "set %s 0 0 %d\r\n%s\r\n", key, size, strings.Repeat("x", size)); err != nil {
		return err
	}
	return allStored(c, 1, false)
}

// sharing has the calling process's threads, and the servers that it starts meanwhile, run
// on two processors while f runs, and on the second one afterwards.
func sharing(server, generator int, f func() error) error {
	if server < 0 || generator < 0 {
		return f()
	}
	var both unix.CPUSet
	both.Set(server)
	both.Set(generator)
	if err := bindSelf(&both); err != nil {
		return fmt.Errorf("using processors %d and %d (--server-cpu, --gen-cpu): %w", server, generator, err)
	}
	defer pinSelf(generator)
	return f()
}
