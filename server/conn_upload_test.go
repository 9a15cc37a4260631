package server

import (
	"strings"
	"testing"
)

// TestUploadWithoutMemory runs out of memory in the middle of values. Who said
// noreply gets no answer.
func TestUploadWithoutMemory(t *testing.T) {
	cfg := testConfig()
	cfg.MemLimit, cfg.EvictToFree = 4<<20, false // a value of this size finds its first chunk only
	b := newBench(t, cfg)
	data := " 0 0 800000\n" + strings.Repeat("x", 800_000) + "\nmn\n"
	failed := 0
	for i := range 12 {
		key := "key" + itoa(i)
		b.expect("set "+key+strings.Replace(data, "\n", " noreply\n", 1), "MN\n")
		if got := string(b.exchange([]byte("set " + key + strings.ReplaceAll(data, "\n", "\r\n")))); got == "SERVER_ERROR Out of memory during read\r\nMN\r\n" {
			failed++
		}
	}
	if failed == 0 {
		t.Error("memory never ran out in the middle of a value: this tests nothing")
	}
	b.verify()
}
