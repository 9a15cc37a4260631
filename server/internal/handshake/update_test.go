package handshake

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"testing"

	"gomcd/internal/pki"
	"gomcd/server/internal/record"
	"gomcd/server/internal/tlstest"
)

// The server changes its keys and asks crypto/tls's client for the same, again and
// again, with data in between.
func TestServerUpdatesKeys(t *testing.T) {
	ca := pki.NewAuthority(t, "CA")
	s := server(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "ECDSA", "server", nil)}})
	client, c, _ := connect(t, s, &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"})
	asked := 0
	for i := range 6 {
		ask := i%2 == 0
		if err := c.Update(ask); err != nil {
			t.Fatal(err)
		}
		exchange(t, c, client)
		if ask {
			asked++
		}
		if c.Updates != asked {
			t.Fatalf("after update %d the client has made %d of %d", i, c.Updates, asked)
		}
	}
}

// takeOver shakes hands with crypto/tls as the client, and then goes on with this
// project's code at both ends: a client that can do what crypto/tls's does not.
func takeOver(t testing.TB, s *Server, config *tls.Config) (client, server *tlstest.Channel) {
	t.Helper()
	log := new(secrets)
	config.KeyLogWriter = log
	tc, sc, session := connect(t, s, config)
	raw := tc.NetConn()
	in, out := session.Server, session.Client
	if session.Client.Secret != log.client.b || session.Server.Secret != log.server.b {
		t.Fatal("the client's secrets are not the server's")
	}
	c, err := tlstest.NewChannel(raw, &in, &out)
	if err != nil {
		t.Fatal(err)
	}
	return c, sc
}

// The client changes its keys, with and without asking the server for the same. Server
// and client may do so at the same time.
func TestClientUpdatesKeys(t *testing.T) {
	ca := pki.NewAuthority(t, "CA")
	s := server(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "ECDSA", "server", nil)}, SessionTicketsDisabled: true})
	client, c := takeOver(t, s, &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"})
	for _, ask := range []bool{false, true, true, false, true} {
		if err := client.Update(ask); err != nil {
			t.Fatal(err)
		}
		exchange(t, client, c)
	}
	if c.Updates != 5 || client.Updates != 3 {
		t.Errorf("the client changed its keys %d times, want 5, the server %d times, want 3", c.Updates, client.Updates)
	}
	for range 3 {
		if err := errors.Join(client.Update(true), c.Update(true)); err != nil {
			t.Fatal(err)
		}
		exchange(t, client, c)
		exchange(t, c, client)
	}
	if c.Updates != 11 || client.Updates != 9 {
		t.Errorf("the client changed its keys %d times, want 11, the server %d times, want 9", c.Updates, client.Updates)
	}
}

// tap keeps what crypto/tls's client writes, once it is on, write by write.
type tap struct {
	net.Conn
	on     bool
	writes [][]byte
}

func (c *tap) Write(b []byte) (int, error) {
	if c.on {
		c.writes = append(c.writes, slices.Clone(b))
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// What happens to crypto/tls's records on their way is noticed: nothing of a record that
// was changed, repeated or exchanged is taken, nor what follows it.
func TestTampering(t *testing.T) {
	both(t, func(t *testing.T, _ *pki.Authority, sc, cc *tls.Config) {
		s := server(t, sc)
		for _, c := range []struct {
			name   string
			tamper func(w [][]byte) [][]byte
			want   int // records that are taken
		}{
			{"nothing", func(w [][]byte) [][]byte { return w }, 3},
			{"first byte", func(w [][]byte) [][]byte { w[1][record.HeaderLen] ^= 1; return w }, 1},
			{"last byte", func(w [][]byte) [][]byte { w[1][len(w[1])-1] ^= 0x80; return w }, 1},
			{"left out", func(w [][]byte) [][]byte { return [][]byte{w[0], w[2]} }, 1},
			{"repeated", func(w [][]byte) [][]byte { return [][]byte{w[0], w[0], w[1]} }, 1},
			{"exchanged", func(w [][]byte) [][]byte { return [][]byte{w[1], w[0], w[2]} }, 0},
			{"shorter", func(w [][]byte) [][]byte { w[1][4]--; return w }, 1},
		} {
			cs, ss := sockets(t)
			tapped := &tap{Conn: cs}
			client, ch, _ := connectOver(t, s, cc, tapped, ss)
			tapped.on = true
			for _, text := range []string{"one", "two", "three"} {
				if _, err := client.Write([]byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			for _, b := range c.tamper(tapped.writes) {
				if _, err := cs.Write(b); err != nil {
					t.Fatal(err)
				}
			}
			if err := cs.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			var err error
			for err == nil {
				_, err = ch.Read(make([]byte, record.MaxRecord))
			}
			var alert tlstest.ErrAlert
			refused := errors.As(err, &alert) && alert.Status == record.Refused && alert.Alert == record.BadRecordMAC
			if ch.Opened != c.want || refused != (c.want < 3) {
				t.Errorf("%s: %d records are taken, want %d; %v", c.name, ch.Opened, c.want, err)
			}
			// The client gets the alert.
			if refused {
				if a, ok := remoteAlert(readError(client)); !ok || a != record.BadRecordMAC {
					t.Errorf("%s: the client gets alert %v", c.name, a)
				}
			}
		}
	})
}

func readError(c net.Conn) error {
	_, err := c.Read(make([]byte, 1))
	return err
}

// An end without close_notify is not the client's, wherever it is.
func TestTruncated(t *testing.T) {
	both(t, func(t *testing.T, _ *pki.Authority, sc, cc *tls.Config) {
		for _, cut := range []int{0, 1, record.HeaderLen, record.HeaderLen + 1, -1} {
			cs, ss := sockets(t)
			tapped := &tap{Conn: cs}
			client, c, _ := connectOver(t, server(t, sc), cc, tapped, ss)
			tapped.on = true
			if _, err := client.Write([]byte("delete everything")); err != nil {
				t.Fatal(err)
			}
			b := tapped.writes[0]
			if cut < 0 {
				cut += len(b)
			}
			if _, err := cs.Write(b[:cut]); err != nil {
				t.Fatal(err)
			}
			if err := cs.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if n, err := c.Read(make([]byte, record.MaxRecord)); n != 0 || err != io.ErrUnexpectedEOF || c.R.Ended() {
				t.Errorf("cut after %d bytes: %d, %v, ended %v", cut, n, err, c.R.Ended())
			}
		}
	})
}

// crypto/tls's client refuses what was changed on its way to it, and the server hears it.
func TestClientRefuses(t *testing.T) {
	both(t, func(t *testing.T, _ *pki.Authority, sc, cc *tls.Config) {
		client, c, _ := connect(t, server(t, sc), cc)
		out := make([]byte, c.W.Sealed(5))
		c.W.Seal(c.WA, out, []byte("hello"))
		out[len(out)-1] ^= 1
		if _, err := c.Conn.Write(out); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Read(make([]byte, 10)); err == nil {
			t.Fatal("the client takes it")
		}
		_, err := c.Read(make([]byte, record.MaxRecord))
		var alert tlstest.ErrAlert
		if !errors.As(err, &alert) || alert.Status != record.Aborted || alert.Alert != record.BadRecordMAC {
			t.Errorf("got %v, want the client's bad_record_mac", err)
		}
	})
}

// crypto/tls's client understands the alerts and the end that the server sends.
func TestServerEnds(t *testing.T) {
	both(t, func(t *testing.T, _ *pki.Authority, sc, cc *tls.Config) {
		for _, a := range []record.Alert{record.CloseNotify, record.UnexpectedMessage} {
			client, c, _ := connect(t, server(t, sc), cc)
			if err := c.Alert(a); err != nil {
				t.Fatal(err)
			}
			_, err := client.Read(make([]byte, 10))
			got, ok := remoteAlert(err)
			if a == record.CloseNotify && err != io.EOF || a != record.CloseNotify && (!ok || got != a) {
				t.Errorf("%v: the client gets %v", a, err)
			}
		}
	})
}
