package server

import (
	"sync/atomic"

	"gomcd/cache"
)

// tunables are the settings that clients can change at run time. What of them
// concerns the store is in the store's own.
type tunables struct {
	verbose    atomic.Int32
	detail     atomic.Bool // commands are counted by prefix
	hotFactor  cache.Ratio
	warmFactor cache.Ratio
}
