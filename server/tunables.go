package server

import (
	"math"
	"sync/atomic"
)

// tunables are the settings that clients can change at run time. What of them
// concerns the store is in the store's own.
type tunables struct {
	verbose       atomic.Int32
	detail        atomic.Bool // commands are counted by prefix
	automove      atomic.Int32
	automoveRatio ratio
	window        atomic.Uint32
	hotFactor     ratio
	warmFactor    ratio
}

// ratio is a float64 that can be read while it is changed.
type ratio struct{ bits atomic.Uint64 }

func (r *ratio) set(v float64) { r.bits.Store(math.Float64bits(v)) }

func (r *ratio) get() float64 { return math.Float64frombits(r.bits.Load()) }
