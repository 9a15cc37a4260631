package main

import (
	"math"
	"math/rand/v2"
)

// zipf draws numbers below n, number i with a probability in proportion to
// 1/(i+1)^theta (Gray et al., "Quickly generating billion-record synthetic
// databases", SIGMOD 1994).
type zipf struct {
	n, theta, alpha, zeta, eta float64
	r                          *rand.Rand
}

func newZipf(n int, theta float64, r *rand.Rand) *zipf {
	z := &zipf{n: float64(n), theta: theta, alpha: 1 / (1 - theta), r: r}
	z.zeta = zeta(n, theta)
	z.eta = (1 - math.Pow(2/z.n, 1-theta)) / (1 - zeta(2, theta)/z.zeta)
	return z
}

// zeta is the sum of 1/i^theta to n. Beyond a million terms the integral is as
// good.
func zeta(n int, theta float64) float64 {
	const exact = 1 << 20
	sum := 0.0
	for i := 1; i <= min(n, exact); i++ {
		sum += math.Pow(float64(i), -theta)
	}
	if n > exact {
		sum += (math.Pow(float64(n)+0.5, 1-theta) - math.Pow(exact+0.5, 1-theta)) / (1 - theta)
	}
	return sum
}

func (z *zipf) next() int {
	u := z.r.Float64()
	uz := u * z.zeta
	switch {
	case uz < 1 || z.n < 2:
		return 0
	case uz < 1+math.Pow(0.5, z.theta):
		return 1
	}
	return min(int(z.n*math.Pow(z.eta*u-z.eta+1, z.alpha)), int(z.n)-1)
}
