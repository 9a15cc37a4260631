package sandbox

// pinBound is above every address that is as good as one from 4 MiB up: here all
// are. (The kernel ignores upper bits only for processes that ask it to, which no role
// may.)
const pinBound = unbounded
