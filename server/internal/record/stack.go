package record

// WipeStack overwrites the stack below its caller's frame, where functions that have
// returned left copies of secrets: values passed and returned, and the working memory of
// hash functions and ciphers.
//
//go:noinline
func WipeStack() {
	var b [stackWiped]byte
	keep(&b)
}

// stackWiped is more than what is called below needs, in bytes, and a fraction of the
// stack of a thread that has a role.
const stackWiped = 16 << 10

// keep keeps the compiler from leaving the array out.
//
//go:noinline
func keep(*[stackWiped]byte) {}
