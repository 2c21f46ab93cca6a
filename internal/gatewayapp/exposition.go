package gatewayapp

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

// exposition writes metrics in the text format of Prometheus.
type exposition struct{ out bytes.Buffer }

// family begins a metric; its samples must follow at once.
func (e *exposition) family(name, kind, help string) {
	e.out.WriteString("# HELP " + name + " " + help + "\n# TYPE " + name + " " + kind + "\n")
}

// sample writes one value. Labels are names and values in turn.
func (e *exposition) sample(name string, value float64, labels ...string) {
	e.out.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		e.label(i == 0, labels[i], labels[i+1])
	}
	if len(labels) > 1 {
		e.out.WriteByte('}')
	}
	e.value(value)
}

func (e *exposition) label(first bool, name, value string) {
	if first {
		e.out.WriteByte('{')
	} else {
		e.out.WriteByte(',')
	}
	e.out.WriteString(name)
	e.out.WriteString(`="`)
	e.out.WriteString(escaper.Replace(value))
	e.out.WriteByte('"')
}

func (e *exposition) value(value float64) {
	e.out.WriteByte(' ')
	e.out.WriteString(strconv.FormatFloat(value, 'g', -1, 64))
	e.out.WriteByte('\n')
}

var escaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// derived writes a sample of the RED metrics.
func (e *exposition) derived(s *heal.Sample) {
	e.out.WriteString(s.Metric)
	for i, l := range s.Labels {
		e.label(i == 0, l.Name, l.Value)
	}
	if len(s.Labels) > 0 {
		e.out.WriteByte('}')
	}
	e.value(s.Value)
}

// one is a family of one sample.
func (e *exposition) one(name, kind, help string, value float64) {
	e.family(name, kind, help)
	e.sample(name, value)
}
