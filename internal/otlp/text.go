package otlp

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// The bounds of what is kept of one span or log record.
const (
	maxAttributes = 128
	maxExceptions = 8
	maxValue      = 4 << 10  // bytes of an attribute
	maxStack      = 32 << 10 // bytes of a stack trace
	maxBody       = 64 << 10 // bytes of a log body
)

// unknownService is the name OpenTelemetry gives a service that has none.
const unknownService = "unknown_service"

// clean makes text of at most limit bytes and valid UTF-8.
func clean(text string, limit int) string {
	if len(text) > limit {
		cut := limit
		for back := 1; back < utf8.UTFMax && cut > 0 && !utf8.RuneStart(text[cut]); back++ {
			cut-- // not within a rune
		}
		text = text[:cut]
	}
	valid := strings.ToValidUTF8(text, "\uFFFD")
	if len(valid) > limit { // replacing made it longer
		return strings.ToValidUTF8(valid[:limit], "")
	}
	return valid
}

// text gives a value of any type as text; lists and maps as JSON.
func text(v pcommon.Value, limit int) string {
	if v.Type() == pcommon.ValueTypeStr {
		return clean(v.Str(), limit)
	}
	return clean(v.AsString(), limit)
}

// identity is what the resource says of who sent a span or log record.
type identity struct {
	service, instance, host string
	attributes              map[string]string // the rest
	dropped                 int
}

func identityOf(resource pcommon.Resource) identity {
	id := identity{service: unknownService, attributes: map[string]string{}}
	id.dropped = int(resource.DroppedAttributesCount())
	for key, value := range resource.Attributes().All() {
		switch key {
		case "service.name":
			if name := text(value, maxValue); name != "" {
				id.service = name
			}
		case "service.instance.id":
			id.instance = text(value, maxValue)
		default:
			if key == "host.name" {
				id.host = text(value, maxValue)
			}
			id.dropped += put(id.attributes, key, value)
		}
	}
	return id
}

// put adds an attribute unless there are too many; it gives the number dropped.
func put(into map[string]string, key string, value pcommon.Value) (dropped int) {
	key = clean(key, maxValue)
	if _, known := into[key]; !known && len(into) >= maxAttributes {
		return 1
	}
	limit := maxValue
	if key == "exception.stacktrace" {
		limit = maxStack
	}
	into[key] = text(value, limit)
	return 0
}

// join adds the attributes of the resource to those of a span or record, whose
// own win. What was dropped, here or at the source, is counted in the attribute
// OpenTelemetry names for it.
func (id identity) join(own pcommon.Map, droppedBefore uint32) map[string]string {
	all := make(map[string]string, min(len(id.attributes)+own.Len(), maxAttributes))
	dropped := id.dropped + int(droppedBefore)
	for key, value := range own.All() {
		dropped += put(all, key, value)
	}
	for key, value := range id.attributes {
		if _, known := all[key]; known {
			continue
		}
		if len(all) >= maxAttributes {
			dropped++
			continue
		}
		all[key] = value
	}
	if dropped > 0 {
		all["otel.dropped_attributes_count"] = strconv.Itoa(dropped)
	}
	if len(all) == 0 {
		return nil
	}
	return all
}
