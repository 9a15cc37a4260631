package sandbox

import "golang.org/x/sys/unix"

// A filter sees the address of a file's name, and not the name. So that one file
// alone can be meant, its name is where nothing else can ever be: in a page of
// the lowest 4 MiB that can only be read. There is no program there, and the
// kernel puts nothing there unless it is asked to; the calls by which a mapping
// is exchanged or changed are allowed from 4 MiB up only (see abovePins).

// PinName puts a file's name at an address that the rules of [Params] can name.
// It is called before the baseline is installed.
func PinName(name string) (at int, err error) {
	b, err := unix.ByteSliceFromString(name)
	if err != nil {
		return 0, err
	}
	return pinBytes(b)
}

// abovePins says that an argument is an address which a pinned name cannot have.
func abovePins(arg uint) Cond {
	return Cond{Arg: arg, Value: pinEnd, Below: pinBound, Text: "an address from 4 MiB up"}
}
