package front

import (
	"crypto/rand"
	"time"
)

// tickets are the keys that session tickets are sealed with. They outlive a reload of
// certificates, and change every day as crypto/tls's own do.
type tickets struct {
	keys [][32]byte // the first seals, all open
}

const (
	ticketsEvery = 24 * time.Hour
	ticketsKept  = 7 // a ticket is good for a week
)

// rotate adds a key, and forgets the oldest.
func (t *tickets) rotate() {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	all := append([][32]byte{key}, t.keys...)
	for i := ticketsKept; i < len(all); i++ {
		clear(all[i][:])
	}
	clear(t.keys)
	t.keys = all[:min(len(all), ticketsKept)]
}
