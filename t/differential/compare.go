package differential

import (
	"fmt"
	"sync"
)

// Pair is gomcd and the memcached that it is compared with.
type Pair struct{ Gomcd, Memcached *Target }

// Difference is a stream that gomcd does not answer as memcached does.
type Difference struct {
	Stream           Stream
	Cut              Cut
	Gomcd, Memcached Answer
}

// both sends a stream to both servers at once.
func (p Pair) both(s Stream, cut Cut) (g, m Answer, err error) {
	var gerr, merr error
	var wg sync.WaitGroup
	wg.Go(func() {
		if g, gerr = p.Gomcd.Answer(s, cut); gerr != nil {
			gerr = fmt.Errorf("gomcd: %w", gerr)
		}
	})
	if m, merr = p.Memcached.Answer(s, cut); merr != nil {
		merr = fmt.Errorf("memcached: %w", merr)
	}
	wg.Wait()
	if gerr != nil {
		return g, m, gerr
	}
	return g, m, merr
}

// Compare sends a stream to both servers. It returns nil if memcached answers
// as gomcd does, with this cut or with another.
func (p Pair) Compare(s Stream, cut Cut) (*Difference, error) {
	g, m, err := p.both(s, cut)
	if err != nil || agrees(s, g, m) || Skipped(s, m) != "" {
		return nil, err
	}
	gomcd, memcached := map[Answer]bool{g: true}, map[Answer]bool{m: true}
	for i := range 24 {
		other := s
		other.Seed += uint64(i) // cuts elsewhere
		m, err := p.Memcached.Answer(other, []Cut{cut, Commands, Lines, Whole, Both, Random}[i%6])
		if err != nil {
			return nil, fmt.Errorf("memcached: %w", err)
		}
		if Skipped(s, m) != "" {
			return nil, nil
		}
		memcached[m] = true
		if i < 4 {
			g, err := p.Gomcd.Answer(s, cut)
			if err != nil {
				return nil, fmt.Errorf("gomcd: %w", err)
			}
			gomcd[g] = true
		}
		for g := range gomcd {
			for m := range memcached {
				if agrees(s, g, m) {
					return nil, nil
				}
			}
		}
	}
	return &Difference{s, cut, g, m}, nil
}
