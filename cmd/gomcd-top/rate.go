package main

// report compares two samples.
type report struct {
	now     *sample
	seconds float64
	before  *sample
}

func compare(before, now *sample) report {
	return report{now, now.at.Sub(before.at).Seconds(), before}
}

// rate is by how much some statistics have grown, in all, a second. One that has become
// smaller was reset, or the server was started again.
func (r report) rate(names ...string) (sum float64) {
	for _, name := range names {
		sum += grown(r.before.number(name), r.now.number(name))
	}
	return sum / r.seconds
}

func grown(before, now float64) float64 {
	if now < before {
		return now
	}
	return now - before
}

// share is a ratio in percent, or -1 if there is nothing to share.
func share(part, all float64) float64 {
	if all <= 0 {
		return -1
	}
	return 100 * part / all
}

// hitRatio is how many of the keys asked for meanwhile were found, in percent, or -1.
func (r report) hitRatio() float64 {
	return share(r.rate("get_hits"), r.rate("get_hits", "get_misses"))
}

// processor is how much of one processor the server took meanwhile, in percent.
func (r report) processor() float64 { return 100 * r.rate("rusage_user", "rusage_system") }

// others is how many commands a second were neither gets nor sets.
func (r report) others() float64 {
	return r.rate("delete_hits", "delete_misses", "incr_hits", "incr_misses", "decr_hits", "decr_misses", "cmd_touch", "cmd_flush")
}
