package handover

import "time"

// Limiter bounds how many reports are made in a second: a flood of them must not drown
// others, or take the time of those that get them.
type Limiter struct {
	second   int64
	reported int    // in that second
	missed   uint32 // reports that were not made since the last that was
}

// Report says whether to make one more report, and how many were not made since the last.
func (l *Limiter) Report(now time.Time, perSecond int) (missed uint32, ok bool) {
	if s := now.Unix(); s != l.second {
		l.second, l.reported = s, 0
	}
	if l.reported >= perSecond {
		l.missed++
		return 0, false
	}
	l.reported++
	missed, l.missed = l.missed, 0
	return missed, true
}

// Miss counts n reports that were to be made and were not.
func (l *Limiter) Miss(n uint32) { l.missed += n }
