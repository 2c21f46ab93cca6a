package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time as written in configuration: Go's form, as in
// 1m30s, and whole days, as in 15d.
type Duration time.Duration

// ParseDuration reads a Duration.
func ParseDuration(text string) (Duration, error) {
	if count, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(count)
		if err != nil || n < 0 || n > 36500 {
			return 0, fmt.Errorf("%q is no number of days, as in 15d", text)
		}
		return Duration(n) * Duration(24*time.Hour), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no length of time, as in 10s, 1m30s or 15d", text)
	}
	return Duration(d), nil
}

func (d Duration) String() string {
	const day = 24 * time.Hour
	std := time.Duration(d)
	if std > 0 && std%day == 0 {
		return strconv.Itoa(int(std/day)) + "d"
	}
	text := std.String()
	for _, zero := range []string{"m0s", "h0m"} { // 1m0s reads better as 1m
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// Std is d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }
