package wire

import (
	"bytes"
	"testing"
)

func TestIsASCII(t *testing.T) {
	for n := range 40 {
		b := bytes.Repeat([]byte{0x7f}, n)
		if !isASCII(b) {
			t.Errorf("%d bytes below 128: got false, want true", n)
		}
		for i := range b {
			b[i] = 0x80
			if isASCII(b) {
				t.Errorf("%d bytes, 128 at %d: got true, want false", n, i)
			}
			b[i] = 0x7f
		}
	}
}
