package detect

import "slices"

// medians are the medians of each metric over vectors, of finite values only; 0
// for a metric that never had one.
func medians(vectors [][]float64) []float64 {
	out := make([]float64, len(vectors[0]))
	column := make([]float64, 0, len(vectors))
	for i := range out {
		column = column[:0]
		for _, v := range vectors {
			if finite(v[i]) {
				column = append(column, v[i])
			}
		}
		slices.Sort(column)
		out[i] = middle(column)
	}
	return out
}

// middle is the median of sorted values; 0 of none.
func middle(sorted []float64) float64 {
	n := len(sorted)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return sorted[n/2]
	}
	return sorted[n/2-1]/2 + sorted[n/2]/2
}
