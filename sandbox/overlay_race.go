//go:build race

package sandbox

import "golang.org/x/sys/unix"

// RaceDetector says whether the process was built with the race detector, and
// every role therefore has the rules of its overlay.
const RaceDetector = true

// raceRules is what a build with the race detector needs on every thread, for
// its runtime keeps a shadow of memory and of each stack.
func raceRules() []Rule {
	rules := []Rule{
		AllowIf("mmap", "the race detector's shadow memory grows",
			Without(2, unix.PROT_EXEC, "no PROT_EXEC"),
			Only(3, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, unix.MAP_FIXED|unix.MAP_NORESERVE|unix.MAP_STACK,
				"MAP_PRIVATE|MAP_ANONYMOUS, maybe MAP_FIXED, MAP_NORESERVE, MAP_STACK")),
		Allow("munmap", "the race detector gives memory back"),
		AllowIf("madvise", "the race detector gives memory back", Is(2, unix.MADV_DONTNEED, "MADV_DONTNEED")),
		AllowIf("madvise", "the race detector's shadow memory is of small pages", Is(2, unix.MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE")),
		AllowIf("madvise", "the race detector's shadow memory is not dumped", Is(2, unix.MADV_DONTDUMP, "MADV_DONTDUMP")),
		Allow("gettimeofday", "the race detector reports a race"),
	}
	for i := range rules {
		rules[i].Feature = "built with -race"
	}
	return rules
}
