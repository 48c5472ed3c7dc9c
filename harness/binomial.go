package harness

import "math"

// unlikely is how seldom chance alone takes a count out of its bounds, on either side.
const unlikely = 1e-9

// byChance are the bounds within which chance leaves how many of n things happen that each happen
// with the chance p.
func byChance(n int, p float64) (least, most int) {
	if p <= 0 || n == 0 {
		return 0, 0
	}
	if p >= 1 {
		return n, n
	}
	exactly := func(k int) float64 {
		return math.Exp(logChoose(n, k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
	}
	for sum := exactly(0); sum <= unlikely && least < n; sum += exactly(least) {
		least++
	}
	most = n
	for sum := exactly(n); sum <= unlikely && most > 0; sum += exactly(most) {
		most--
	}
	return least, most
}

// logChoose is the logarithm of in how many ways k of n can be chosen.
func logChoose(n, k int) float64 {
	of := func(i int) float64 { v, _ := math.Lgamma(float64(i) + 1); return v }
	return of(n) - of(k) - of(n-k)
}
