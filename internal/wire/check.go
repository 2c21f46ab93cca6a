package wire

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// slot says what a length-delimited field of a message holds. Other fields need
// no more than to be whole, which the walk sees to.
type slot struct {
	number uint32
	holds  holding
	inner  message // of holdsMessage
}

// holding is what a length-delimited field holds.
type holding uint8

const (
	holdsText    holding = iota // UTF-8
	holdsMessage                // another message
	holdsTraceID                // 16 bytes or none
	holdsSpanID                 // 8 bytes or none
	holdsFixed                  // packed numbers of 64 bits
	holdsVarints                // packed varints
)

var errText = errors.New("has text that is not UTF-8")

// check reports what would keep a decoder from reading the message b.
func check(b []byte, m message, depth int) error {
	if depth > maxNesting {
		return errDeep
	}
	attribute := attributeTags[m]
	for at := 0; at < len(b); {
		if attribute != 0 {
			if pair, end := short(b, at, attribute); pair != nil && plainPair(pair) {
				at = end
				continue
			}
		}
		f, err := next(b, at)
		if err != nil {
			return err
		}
		at = f.end
		if err := checkField(b, f, m, depth); err != nil {
			return err
		}
	}
	return nil
}

// checkField checks one field of the message b.
func checkField(b []byte, f field, m message, depth int) error {
	if f.wire != typeLen {
		return nil
	}
	for i := range schemas[m] {
		if s := &schemas[m][i]; s.number == f.number {
			return s.check(b[f.begin:f.end], depth)
		}
	}
	return nil
}

// plainPair reports whether an attribute is one short key and one short text or
// number, as nearly all are, and in order.
func plainPair(b []byte) bool {
	key, at := short(b, 0, 1<<3|typeLen)
	value, end := short(b, at, 2<<3|typeLen)
	if key == nil || len(value) < 2 || end != len(b) {
		return false
	}
	ascii := isASCII(b) // lengths and all, so that one look does
	if !ascii && !utf8.Valid(key) {
		return false
	}
	switch value[0] {
	case 1<<3 | typeLen:
		return int(value[1]) == len(value)-2 && (ascii || utf8.Valid(value[2:]))
	case 2<<3 | typeVarint, 3<<3 | typeVarint:
		_, end, err := varint(value, 1)
		return err == nil && end == len(value)
	case 4<<3 | typeI64:
		return len(value) == 9
	}
	return false
}

// isASCII reports whether all bytes are below 128.
func isASCII(b []byte) bool {
	const high = 0x8080808080808080
	if len(b) < 8 {
		var all byte
		for _, c := range b {
			all |= c
		}
		return all < 0x80
	}
	all := binary.LittleEndian.Uint64(b[len(b)-8:])
	for ; len(b) >= 8; b = b[8:] {
		all |= binary.LittleEndian.Uint64(b)
	}
	return all&high == 0
}

func (s *slot) check(b []byte, depth int) error {
	switch s.holds {
	case holdsText:
		if !utf8.Valid(b) {
			return errText
		}
	case holdsMessage:
		return check(b, s.inner, depth+1)
	case holdsTraceID:
		if len(b) != 16 && len(b) != 0 {
			return idError{len(b), 16}
		}
	case holdsSpanID:
		if len(b) != 8 && len(b) != 0 {
			return idError{len(b), 8}
		}
	case holdsFixed:
		if len(b)%8 != 0 {
			return errTruncated
		}
	case holdsVarints:
		for at := 0; at < len(b); {
			_, end, err := varint(b, at)
			if err != nil {
				return err
			}
			at = end
		}
	}
	return nil
}

// message names a message of opentelemetry-proto v1.
type message uint8

const (
	msgNone message = iota
	msgValue
	msgValues
	msgPairs
	msgPair
	msgEntity
	msgResource
	msgScope
	msgResourceShell // resource spans, metrics or logs without their items, which are checked one by one
	msgScopeShell
	msgSpans
	msgResourceSpans
	msgScopeSpans
	msgSpan
	msgEvent
	msgLink
	msgStatus
	msgLogs
	msgResourceLogs
	msgScopeLogs
	msgRecord
	msgMetrics
	msgResourceMetrics
	msgScopeMetrics
	msgMetric
	msgNumbers
	msgNumber
	msgExemplar
	msgHistograms
	msgHistogram
	msgExponentials
	msgExponential
	msgBuckets
	msgSummaries
	msgSummary
	msgQuantile
)

// attributeTags are the tags of attributes, by the message they are in, 0 where
// there are none.
var attributeTags = [msgQuantile + 1]byte{
	msgSpan: tagAttribute, msgResource: 1<<3 | typeLen, msgScope: 3<<3 | typeLen, msgEvent: 3<<3 | typeLen, msgLink: 4<<3 | typeLen,
	msgRecord: 6<<3 | typeLen, msgNumber: 7<<3 | typeLen, msgHistogram: 9<<3 | typeLen,
}

var schemas = [...][]slot{
	msgValue:    {{1, holdsText, msgNone}, {5, holdsMessage, msgValues}, {6, holdsMessage, msgPairs}},
	msgValues:   {{1, holdsMessage, msgValue}},
	msgPairs:    {{1, holdsMessage, msgPair}},
	msgPair:     {{1, holdsText, msgNone}, {2, holdsMessage, msgValue}},
	msgEntity:   {{1, holdsText, msgNone}, {2, holdsText, msgNone}, {3, holdsText, msgNone}, {4, holdsText, msgNone}},
	msgResource: {{1, holdsMessage, msgPair}, {3, holdsMessage, msgEntity}},
	msgScope:    {{1, holdsText, msgNone}, {2, holdsText, msgNone}, {3, holdsMessage, msgPair}},

	msgResourceShell: {{1, holdsMessage, msgResource}, {3, holdsText, msgNone}},
	msgScopeShell:    {{1, holdsMessage, msgScope}, {3, holdsText, msgNone}},

	msgSpans:         {{1, holdsMessage, msgResourceSpans}},
	msgResourceSpans: {{1, holdsMessage, msgResource}, {2, holdsMessage, msgScopeSpans}, {3, holdsText, msgNone}},
	msgScopeSpans:    {{1, holdsMessage, msgScope}, {2, holdsMessage, msgSpan}, {3, holdsText, msgNone}},
	msgSpan: {
		{9, holdsMessage, msgPair},
		{5, holdsText, msgNone},
		{3, holdsText, msgNone},
		{11, holdsMessage, msgEvent},
		{13, holdsMessage, msgLink},
		{15, holdsMessage, msgStatus},
	},
	msgEvent:  {{2, holdsText, msgNone}, {3, holdsMessage, msgPair}},
	msgLink:   {{1, holdsTraceID, msgNone}, {2, holdsSpanID, msgNone}, {3, holdsText, msgNone}, {4, holdsMessage, msgPair}},
	msgStatus: {{2, holdsText, msgNone}},

	msgLogs:         {{1, holdsMessage, msgResourceLogs}},
	msgResourceLogs: {{1, holdsMessage, msgResource}, {2, holdsMessage, msgScopeLogs}, {3, holdsText, msgNone}},
	msgScopeLogs:    {{1, holdsMessage, msgScope}, {2, holdsMessage, msgRecord}, {3, holdsText, msgNone}},
	msgRecord: {
		{3, holdsText, msgNone},
		{5, holdsMessage, msgValue},
		{6, holdsMessage, msgPair},
		{9, holdsTraceID, msgNone},
		{10, holdsSpanID, msgNone},
		{12, holdsText, msgNone},
	},

	msgMetrics:         {{1, holdsMessage, msgResourceMetrics}},
	msgResourceMetrics: {{1, holdsMessage, msgResource}, {2, holdsMessage, msgScopeMetrics}, {3, holdsText, msgNone}},
	msgScopeMetrics:    {{1, holdsMessage, msgScope}, {2, holdsMessage, msgMetric}, {3, holdsText, msgNone}},
	msgMetric: {
		{1, holdsText, msgNone},
		{2, holdsText, msgNone},
		{3, holdsText, msgNone},
		{5, holdsMessage, msgNumbers},
		{7, holdsMessage, msgNumbers},
		{9, holdsMessage, msgHistograms},
		{10, holdsMessage, msgExponentials},
		{11, holdsMessage, msgSummaries},
		{12, holdsMessage, msgPair},
	},
	msgNumbers:      {{1, holdsMessage, msgNumber}},
	msgNumber:       {{7, holdsMessage, msgPair}, {5, holdsMessage, msgExemplar}},
	msgExemplar:     {{7, holdsMessage, msgPair}, {4, holdsSpanID, msgNone}, {5, holdsTraceID, msgNone}},
	msgHistograms:   {{1, holdsMessage, msgHistogram}},
	msgHistogram:    {{9, holdsMessage, msgPair}, {6, holdsFixed, msgNone}, {7, holdsFixed, msgNone}, {8, holdsMessage, msgExemplar}},
	msgExponentials: {{1, holdsMessage, msgExponential}},
	msgExponential:  {{1, holdsMessage, msgPair}, {8, holdsMessage, msgBuckets}, {9, holdsMessage, msgBuckets}, {11, holdsMessage, msgExemplar}},
	msgBuckets:      {{2, holdsVarints, msgNone}},
	msgSummaries:    {{1, holdsMessage, msgSummary}},
	msgSummary:      {{7, holdsMessage, msgPair}, {6, holdsMessage, msgQuantile}},
	msgQuantile:     {},
}
