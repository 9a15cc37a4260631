package server

import (
	"testing"

	"gomcd/cache"
	"gomcd/protocol"
)

// A client can name any command: each has an executor. What a row says of
// storing agrees with the grammar.
func TestEveryCommandHasAnExecutor(t *testing.T) {
	for k := range protocol.NumKinds {
		row := &commands[k]
		if row.run == nil || executors[0][k] == nil || executors[1][k] == nil {
			t.Errorf("kind %d (%q) has no executor", k, k.Name())
		}
		if row.mode != cache.Set && !k.Keyed() {
			t.Errorf("%s stores, but no key is looked up for it", k.Name())
		}
	}
}
