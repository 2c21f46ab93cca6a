package web

import (
	"html/template"
	"net/http"
	"strconv"
	"time"
)

// fieldTime is how browsers write a time into a form. It is read as UTC where no
// script made a full time of it.
const fieldTime = "2006-01-02T15:04"

// moment reads a time of a form; the zero time if there is none.
func moment(label, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, fieldTime, fieldTime + ":05"} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1970 && t.Year() < 2200 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, &refusal{Status: http.StatusUnprocessableEntity, Detail: label + " is " + strconv.Quote(text) + ", expected a time as in 2026-03-02T10:30:00Z."}
}

// fieldOf are the attributes that fill a field with a time: as UTC, which the
// page's script turns into the viewer's zone.
func fieldOf(t time.Time) template.HTMLAttr {
	if t.IsZero() {
		return ""
	}
	t = t.UTC()
	return template.HTMLAttr(`value="` + t.Format(fieldTime) + `" data-utc="` + t.Format(time.RFC3339) + `"`)
}
