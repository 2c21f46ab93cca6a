package exec

import (
	"strings"
	"unicode/utf8"
)

// head keeps the beginning of what is written to it and drops the rest, so
// that a program that floods its output is neither stopped nor remembered.
type head struct {
	kept    []byte
	dropped int64
}

// Write never fails.
func (h *head) Write(p []byte) (int, error) {
	n := min(len(p), maxOutput-len(h.kept))
	h.kept = append(h.kept, p[:n]...)
	h.dropped += int64(len(p) - n)
	return len(p), nil
}

func (h *head) cut() bool { return h.dropped > 0 }

func (h *head) text() string { return strings.ToValidUTF8(string(h.kept), string(utf8.RuneError)) }

// start is as much as fits into an error.
func (h *head) start() string {
	text := strings.TrimSpace(h.text())
	if len(text) > 512 {
		return text[:512] + "..."
	}
	return text
}
