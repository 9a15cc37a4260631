package front

import "testing"

// A key of session tickets is used for a day and good for a week.
func TestTickets(t *testing.T) {
	var k tickets
	k.rotate()
	first := k.keys[0]
	for i := 1; i < ticketsKept; i++ {
		k.rotate()
		if len(k.keys) != i+1 || k.keys[i] != first || k.keys[0] == first {
			t.Fatalf("after day %d: %d keys", i, len(k.keys))
		}
	}
	if k.rotate(); len(k.keys) != ticketsKept || k.keys[ticketsKept-1] == first {
		t.Errorf("%d keys, and the first may be among them", len(k.keys))
	}
}
