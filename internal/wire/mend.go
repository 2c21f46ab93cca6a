package wire

import "unicode/utf8"

// MendSpans makes text that is not UTF-8 in a well-formed
// ExportTraceServiceRequest such, in place: each byte that is wrong becomes a
// question mark. It gives how many fields it changed. A receiver would refuse the
// whole request for one of them.
func MendSpans(request []byte) (mended int) { return mend(request, msgSpans, 1) }

// MendMetrics is MendSpans for an ExportMetricsServiceRequest.
func MendMetrics(request []byte) (mended int) { return mend(request, msgMetrics, 1) }

// MendLogs is MendSpans for an ExportLogsServiceRequest.
func MendLogs(request []byte) (mended int) { return mend(request, msgLogs, 1) }

func mend(b []byte, m message, depth int) (mended int) {
	if depth > maxNesting {
		return 0
	}
	for at := 0; at < len(b); {
		f, err := next(b, at)
		if err != nil {
			return mended // not well-formed: who reads it will say so
		}
		at = f.end
		if f.wire != typeLen {
			continue
		}
		for _, s := range schemas[m] {
			if s.number != f.number {
				continue
			}
			switch value := b[f.begin:f.end]; s.holds {
			case holdsText:
				if !utf8.Valid(value) {
					mendText(value)
					mended++
				}
			case holdsMessage:
				mended += mend(value, s.inner, depth+1)
			case holdsTraceID, holdsSpanID, holdsFixed, holdsVarints:
			}
		}
	}
	return mended
}

func mendText(b []byte) {
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			b[0] = '?'
		}
		b = b[size:]
	}
}
