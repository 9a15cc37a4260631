//go:build !counted

package cache

// counted says whether locked operations are reported to onLocked. They are in the
// build that TestSharedWrites is made for, with the tag "counted".
const counted = false

func onLocked(any) {}
