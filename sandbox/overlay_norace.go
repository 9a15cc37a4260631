//go:build !race

package sandbox

func raceRules() []Rule { return nil }
