package server

import (
	"strings"
	"testing"
)

// Who sets the machine's clock neither ends nor lengthens the life of any item.
func TestClockIsMonotonic(t *testing.T) {
	if s := newClock().started.String(); !strings.Contains(s, " m=") { // see package time
		t.Errorf("the server's time goes by the wall clock: %s", s)
	}
}
