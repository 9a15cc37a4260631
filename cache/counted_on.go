//go:build counted

package cache

const counted = true

// onLocked is called before each locked operation, with the address of its word.
var onLocked = func(word any) {}
