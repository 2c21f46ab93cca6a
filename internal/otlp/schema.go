package otlp

// message is how the fields of an OTLP message nest: what must be known to
// bound a request before it is decoded. Fields that hold no message are left
// out.
type message struct {
	fields []field
	size   int // bytes a decoded one takes, at least
}

type field struct {
	number uint64
	holds  *message
}

func (m *message) child(number uint64) *message {
	for _, f := range m.fields {
		if f.number == number {
			return f.holds
		}
	}
	return nil
}

// newSchemas describes the export requests of the three signals, by the field
// numbers of opentelemetry-proto v1. Field 1000 is the deprecated twin of
// field 2, which pdata still decodes. Sizes are those of pdata's structs,
// rounded.
func newSchemas() [len(signals)]*message {
	value, pair := &message{size: 32}, &message{size: 48}
	pair.fields = []field{{2, value}}
	list := &message{size: 32, fields: []field{{1, value}}}
	pairs := &message{size: 32, fields: []field{{1, pair}}}
	value.fields = []field{{5, list}, {6, pairs}}

	reference := &message{size: 80}
	resource := &message{size: 64, fields: []field{{1, pair}, {3, reference}}}
	scope := &message{size: 64, fields: []field{{3, pair}}}
	request := func(item *message) *message {
		scoped := &message{size: 128, fields: []field{{1, scope}, {2, item}}}
		perResource := &message{size: 128, fields: []field{{1, resource}, {2, scoped}, {1000, scoped}}}
		return &message{fields: []field{{1, perResource}}}
	}

	event := &message{size: 64, fields: []field{{3, pair}}}
	link := &message{size: 96, fields: []field{{4, pair}}}
	span := &message{size: 280, fields: []field{{9, pair}, {11, event}, {13, link}}}

	exemplar := &message{size: 80, fields: []field{{7, pair}}}
	number := &message{size: 96, fields: []field{{7, pair}, {5, exemplar}}}
	histogram := &message{size: 192, fields: []field{{9, pair}, {8, exemplar}}}
	exponential := &message{size: 288, fields: []field{{1, pair}, {11, exemplar}}}
	quantile := &message{size: 24}
	summary := &message{size: 96, fields: []field{{7, pair}, {6, quantile}}}
	points := func(point *message) *message { return &message{size: 40, fields: []field{{1, point}}} }
	metric := &message{size: 112, fields: []field{
		{5, points(number)},
		{7, points(number)},
		{9, points(histogram)},
		{10, points(exponential)},
		{11, points(summary)},
		{12, pair},
	}}

	record := &message{size: 200, fields: []field{{5, value}, {6, pair}}}

	return [...]*message{traces: request(span), metrics: request(metric), logs: request(record)}
}
