package t

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"gomcd/t/harness"
)

func TestSlowReadersCostLittle(t *testing.T) { slowReaders(t, harness.Production(), 0) }

// Over TLS the kernel has no room for a record now and then, which is kept then.
func TestSlowReadersCostLittleTLS(t *testing.T) {
	const record = 17 << 10
	slowReaders(t, harness.Production().WithTLS(harness.NewCertificates(t, "ECDSA")), 2*record)
}

// slowReaders has clients that do not read. Each may cost so much more.
func slowReaders(t *testing.T, k harness.Kind, more int) {
	t.Helper()
	s := harness.Start(t, k, "-t", "2")
	c := s.Dial(t)
	value := strings.Repeat("0123456789abcdef", 60_000)
	c.Set("big", value)
	before := s.RSS()
	const clients, asks = 50, 200
	for range clients {
		slow := s.Dial(t)
		slow.SetWriteDeadline(time.Now().Add(time.Second))
		io.WriteString(slow, strings.Repeat("get big\r\n", asks))
	}
	for i := range 100 {
		key := fmt.Sprintf("k%d", i)
		c.Set(key, "v")
		if v, ok := c.Get(key); !ok || v != "v" {
			t.Fatal("another client is not served right")
		}
	}
	if v, ok := c.Get("big"); !ok || v != value {
		t.Error("the value was not served right to who reads it")
	}
	if grown := s.RSS() - before; grown > clients*(128<<10+more) {
		t.Errorf("%d slow readers cost %d bytes", clients, grown)
	}
}

func TestRepliesArriveWholeThroughFullSockets(t *testing.T) {
	for _, k := range []harness.Kind{harness.Privileged(), harness.Production(), harness.Production().WithTLS(harness.NewCertificates(t, "ECDSA"))} {
		s := harness.Start(t, k, "-I", "2m")
		c := s.Dial(t)
		// Among them those where the way of sending changes, and one whose
		// last chunk has room for nothing behind the value.
		sizes := []int{10, 3000, 16 << 10, 16<<10 + 1, 32 << 10, 32<<10 + 1, 100_000, 700_000, 2 * (512<<10 - 24), 1_900_000}
		for _, n := range sizes {
			c.Set(fmt.Sprintf("k%d", n), strings.Repeat("x", n-1)+"$")
		}
		go func() {
			for range 20 {
				line := "get"
				for _, n := range sizes {
					line += fmt.Sprintf(" k%d", n)
				}
				io.WriteString(c, line+"\r\nmn\r\n")
				for _, n := range sizes {
					fmt.Fprintf(c, "mg k%d v s\r\nget k%d\r\n", n, n)
				}
			}
		}()
		for range 20 {
			for _, n := range sizes {
				c.Expect(fmt.Sprintf("VALUE k%d 0 %d", n, n))
				readValue(t, c, n)
			}
			c.Expect("END", "MN")
			for _, n := range sizes {
				c.Expect(fmt.Sprintf("VA %d s%d", n, n))
				readValue(t, c, n)
				c.Expect(fmt.Sprintf("VALUE k%d 0 %d", n, n))
				readValue(t, c, n)
				c.Expect("END")
			}
		}
	}
}

func readValue(t *testing.T, c *harness.Conn, n int) {
	t.Helper()
	b := make([]byte, n+2)
	c.SetReadDeadline(time.Now().Add(harness.Patience))
	if _, err := io.ReadFull(c.R, b); err != nil {
		t.Fatal(err)
	}
	if b[n-1] != '$' || bytes.Count(b[:n], []byte("x")) != n-1 {
		t.Fatalf("a value of %d bytes is not whole", n)
	}
}

func TestHalfUploadsCostLittle(t *testing.T) {
	s := harness.Start(t, harness.Production())
	c := s.Dial(t)
	c.Ask("mn", "MN")
	before := s.RSS()
	const clients = 300
	for i := range clients {
		half := s.Dial(t)
		half.Send("set half%d 0 0 1000000\n0123456789", i)
	}
	harness.Eventually(t, "all have begun a value", func() bool {
		begun := 0
		for _, stat := range c.StatsList("conns") {
			if strings.HasSuffix(stat.Name, ":state") && stat.Value == "conn_nread" {
				begun++
			}
		}
		return begun == clients
	})
	if grown := s.RSS() - before; grown > clients*24<<10 {
		t.Errorf("%d half uploads cost %d bytes", clients, grown)
	}
}

// TestWhoSendsNoMoreIsAnswered closes a connection for sending before the
// replies to what was sent, more than a socket holds, are read.
func TestWhoSendsNoMoreIsAnswered(t *testing.T) {
	for _, k := range harness.Carriers(t) {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, k)
			c := s.Dial(t)
			const size, asks = 900_000, 20
			c.Set("big", strings.Repeat("x", size-1)+"$")
			c.Send("%smn\n", strings.Repeat("get big\n", asks))
			c.Conn.(interface{ CloseWrite() error }).CloseWrite()
			for range asks {
				c.Expect(fmt.Sprintf("VALUE big 0 %d", size))
				readValue(t, c, size)
				c.Expect("END")
			}
			c.Expect("MN")
			c.Closed()
		})
	}
}

// TestHalfUploadsGiveWay has clients begin values that take all memory, and not go on:
// others store theirs all the same. Who goes on after that gets an error if the value
// was given up, and the connection serves as before.
func TestHalfUploadsGiveWay(t *testing.T) {
	s := harness.Start(t, harness.Production(), "-m", "64")
	const clients, size, begun = 200, 900_000, 600_000
	value := strings.Repeat("x", size)
	var halves []*harness.Conn
	for i := range clients {
		half := s.Dial(t)
		half.Send("set half%d 0 0 %d\n%s", i, size, value[:begun])
		halves = append(halves, half)
	}
	c := s.Dial(t)
	for i := range 50 {
		c.Set(fmt.Sprint("key", i), value[:500_000])
	}
	given := 0
	for i, half := range halves {
		half.Send("%s\nmn\n", value[begun:])
		switch reply := half.Line(); reply {
		case "STORED":
		case "SERVER_ERROR Out of memory during read":
			given++
			c.Ask(fmt.Sprintf("get half%d", i), "END")
		default:
			t.Fatalf("half %d: %q", i, reply)
		}
		half.Expect("MN")
	}
	if n := c.Stats("")["uploads_given_up"]; n != fmt.Sprint(given) || given == 0 {
		t.Errorf("%d values were given up, stats say %s", given, n)
	}
}
