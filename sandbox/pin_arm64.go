package sandbox

// pinBound is above every address that is as good as one from 4 MiB up. The kernel
// ignores the upper byte, a tag, so with one a pinned name would be reached.
const pinBound = 1 << 48
