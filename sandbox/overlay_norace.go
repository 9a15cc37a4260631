//go:build !race

package sandbox

// RaceDetector says whether the process was built with the race detector, and
// every role therefore has the rules of its overlay.
const RaceDetector = false

func raceRules() []Rule { return nil }
