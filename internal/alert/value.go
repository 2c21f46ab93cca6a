package alert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/expr"
)

// toText gives a value of an expression as text, "" for none.
func toText(value any) (string, error) {
	if value == nil {
		return "", nil
	}
	return expr.Format(value)
}

func setNumber(into **float64, value any) error {
	switch v := value.(type) {
	case nil:
		return nil
	case int64:
		f := float64(v)
		*into = &f
	case uint64:
		f := float64(v)
		*into = &f
	case float64:
		*into = &v
	case string:
		if v == "" {
			return nil
		}
		f := number(strings.TrimSpace(v))
		if f == nil {
			return fmt.Errorf("%.60q is not a number", v)
		}
		*into = f
	default:
		return fmt.Errorf("is a %T, expected a number", value)
	}
	return nil
}

// setTime reads a time; null, empty text, zero and year 1 are no time.
func setTime(into *time.Time, value any) error {
	switch v := value.(type) {
	case nil:
		return nil
	case time.Time:
		*into = known(v)
	case int64:
		*into = unix(float64(v))
	case uint64:
		*into = unix(float64(v))
	case float64:
		*into = unix(v)
	case string:
		t, err := parseTime(strings.TrimSpace(v))
		if err != nil {
			return err
		}
		*into = t
	default:
		return fmt.Errorf("is a %T, expected a time", value)
	}
	return nil
}

// parseTime reads the forms of time found in webhooks; one without a zone is
// UTC.
func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999",
		"2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", time.RFC1123Z, time.RFC1123,
	} {
		if t, err := time.Parse(layout, text); err == nil {
			return known(t), nil
		}
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return unix(f), nil
	}
	return time.Time{}, fmt.Errorf("%.60q is not a time; expected RFC 3339 as in 2026-01-05T10:00:00Z, or a Unix time", text)
}

func known(t time.Time) time.Time {
	if t.Year() <= 1 {
		return time.Time{}
	}
	return t.UTC()
}

// unix reads seconds, milliseconds, microseconds or nanoseconds since 1970,
// told apart by size: each unit's range covers the years 1973 to 5138.
func unix(n float64) time.Time {
	switch {
	case n != n || n <= 0 || n >= 9.2e18:
		return time.Time{}
	case n < 1e11:
		return time.UnixMicro(int64(n * 1e6)).UTC()
	case n < 1e14:
		return time.UnixMicro(int64(n * 1e3)).UTC()
	case n < 1e17:
		return time.UnixMicro(int64(n)).UTC()
	}
	return time.Unix(0, int64(n)).UTC()
}

// decode reads JSON for expressions: numbers written as integers that fit
// become int64, so that long ids keep every digit; others float64.
func decode(body []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	end := d.InputOffset()
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("has more text after the JSON that ends at byte %d", end)
	}
	return numbers(value), nil
}

func numbers(value any) any {
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v.String() // beyond what a number can hold
		}
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return value
}
