package wire

import (
	"bytes"
	"math/bits"
)

// The tracestate of OpenTelemetry: one member "ot" of the W3C list, with the
// sub-keys th (rejection threshold) and rv (explicit randomness), both numbers
// of 56 bits in hexadecimal. th leaves out trailing zeros, rv has all 14
// digits.

// maxThreshold is one above the largest threshold; a threshold there would
// reject everything.
const maxThreshold = 1 << 56

// maxTraceState is the most a tracestate is written with; list members that
// make it longer are left out, the last first, as W3C Trace Context advises.
const maxTraceState = 512

// traceState is what sampling reads of a tracestate.
type traceState struct {
	threshold, random       uint64
	hasThreshold, hasRandom bool
}

// readTraceState finds th and rv; what is malformed counts as absent.
func readTraceState(text []byte) (t traceState) {
	value, _, found := otMember(text)
	for found && len(value) > 0 {
		var part []byte
		part, value, _ = bytes.Cut(value, []byte{';'})
		if len(part) < 4 || part[2] != ':' {
			continue
		}
		digits := part[3:]
		n, ok := hex56(digits)
		switch {
		case !ok:
		case part[0] == 't' && part[1] == 'h':
			t.threshold, t.hasThreshold = n, true
		case part[0] == 'r' && part[1] == 'v' && len(digits) == 14:
			t.random, t.hasRandom = n, true
		}
	}
	return t
}

// otMember gives the value of the member "ot" and the whole member as it
// stands in text.
func otMember(text []byte) (value, member []byte, found bool) {
	for len(text) > 0 {
		member, text, _ = bytes.Cut(text, []byte{','})
		if trimmed := bytes.Trim(member, " \t"); len(trimmed) > 3 && trimmed[0] == 'o' && trimmed[1] == 't' && trimmed[2] == '=' {
			return trimmed[3:], member, true
		}
	}
	return nil, nil, false
}

// hex56 reads up to 14 digits as the leading ones of a number of 56 bits.
func hex56(digits []byte) (n uint64, ok bool) {
	if len(digits) == 0 || len(digits) > 14 {
		return 0, false
	}
	for _, c := range digits {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return n << (4 * (14 - len(digits))), true
}

// appendThreshold appends th without its trailing zeros.
func appendThreshold(to []byte, threshold uint64) []byte {
	if threshold == 0 {
		return append(to, '0')
	}
	digits := 14 - bits.TrailingZeros64(threshold)/4
	for i := range digits {
		to = append(to, "0123456789abcdef"[threshold>>(4*(13-i))&15])
	}
	return to
}

// appendTraceState appends the tracestate old with its threshold replaced. The
// member that changed comes first, as W3C Trace Context says.
func appendTraceState(to, old []byte, threshold uint64) []byte {
	begin := len(to)
	value, changed, _ := otMember(old)
	to = append(to, "ot=th:"...)
	to = appendThreshold(to, threshold)
	for len(value) > 0 {
		var part []byte
		part, value, _ = bytes.Cut(value, []byte{';'})
		if len(part) > 0 && !bytes.HasPrefix(part, []byte("th:")) && len(to)-begin+1+len(part) <= maxTraceState {
			to = append(append(to, ';'), part...)
		}
	}
	for rest := old; len(rest) > 0; {
		var member []byte
		member, rest, _ = bytes.Cut(rest, []byte{','})
		same := len(member) > 0 && len(changed) > 0 && &member[0] == &changed[0]
		member = bytes.Trim(member, " \t")
		if same || len(member) == 0 {
			continue
		}
		if len(to)-begin+1+len(member) > maxTraceState {
			break
		}
		to = append(append(to, ','), member...)
	}
	return to
}
