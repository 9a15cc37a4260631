package sandbox

// stderr writes the lines of all other threads once they serve, and may wait for
// whatever reads them. Its descriptor table is its own and has descriptor 2 alone
// (see [OwnDescriptors]). It waits on a futex.
func stderr(Params) Profile {
	rules := []Rule{AllowIf("write", "writes the lines of all threads", Is(0, 2, "2"))}
	for _, r := range threadRules() {
		if !covered(rules, r) {
			rules = append(rules, r)
		}
	}
	return Profile{Role: Stderr, Rules: rules}
}
