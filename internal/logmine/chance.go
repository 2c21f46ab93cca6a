package logmine

import "math"

// expected is how many of n would be so if k of m were at normal times.
func expected(n, k, m int) float64 { return float64(n) * (float64(k) + 0.5) / (float64(m) + 1) }

// beyondChance is how far beyond chance it is that taken of n are so if k of m
// were at normal times, as standard deviations of a normal distribution would
// have it; 0 if it is no more than expected. Few normal ones leave much room
// for chance: what k of m says of n others is a beta-binomial distribution,
// here with Jeffreys' prior.
func beyondChance(taken, n, k, m int) float64 {
	if float64(taken) <= expected(n, k, m) {
		return 0
	}
	a, b := float64(k)+0.5, float64(m-k)+0.5
	at := logChoose(n, taken) + logBeta(a+float64(taken), b+float64(n-taken)) - logBeta(a, b)
	tail, term := 1.0, 1.0
	for i := taken; i < n; i++ { // each next is a smaller part of the one before
		j, rest := float64(i), float64(n-i)
		term *= rest / (j + 1) * (a + j) / (b + rest - 1)
		if tail += term; term < 1e-6*tail {
			break
		}
	}
	return math.Sqrt(max(0, -2*(at+math.Log(tail))))
}

func logBeta(a, b float64) float64 {
	x, _ := math.Lgamma(a)
	y, _ := math.Lgamma(b)
	z, _ := math.Lgamma(a + b)
	return x + y - z
}

func logChoose(n, k int) float64 {
	return -logBeta(float64(k)+1, float64(n-k)+1) - math.Log(float64(n)+1)
}
