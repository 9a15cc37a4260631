//go:build !goexperiment.greenteagc

package sandbox

// GreenTea says whether this binary has the garbage collector of that name.
const GreenTea = false
