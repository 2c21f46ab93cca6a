package analyse

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
)

// Paths say where the files are; an empty one is not read. A folder is read with
// everything below it.
type Paths struct {
	Metrics, Traces, Logs, Graph, Changes string
}

// Data is what files hold.
type Data struct {
	Columns []*Column
	Spans   []heal.Span
	Logs    []heal.LogRecord
	Edges   [][2]heal.EntityID // who depends on whom
	Changes []heal.Change      // oldest first

	columns map[[2]string]*Column
}

// Column is one metric of one service.
type Column struct {
	Service, Name string
	Measure       cause.Measure
	Unit          string
	Samples       []cause.Sample // oldest first
}

// The bounds of what is read.
const (
	maxFileBytes = 2 << 30 // of one file, decompressed
	maxRecords   = 5_000_000
	maxLineBytes = 16 << 20
)

// Read reads the files.
func Read(p Paths) (*Data, error) {
	d := &Data{columns: map[[2]string]*Column{}}
	for _, part := range []struct {
		flag, path string
		read       func(*file) error
	}{{"metrics", p.Metrics, d.readMetrics}, {"traces", p.Traces, d.readTraces}, {"logs", p.Logs, d.readLogs}, {"graph", p.Graph, d.readGraph}, {"changes", p.Changes, d.readChanges}} {
		if part.path == "" {
			continue
		}
		if err := each(part.path, part.read); err != nil {
			return nil, heal.Wrap("read "+part.flag, err)
		}
	}
	for _, c := range d.Columns {
		slices.SortStableFunc(c.Samples, func(a, b cause.Sample) int { return a.At.Compare(b.At) })
		c.Measure, c.Unit = measureOf(c)
	}
	slices.SortFunc(d.Columns, func(a, b *Column) int {
		return strings.Compare(a.Service+"\x00"+a.Name, b.Service+"\x00"+b.Name)
	})
	slices.SortStableFunc(d.Logs, func(a, b heal.LogRecord) int { return a.Time.Compare(b.Time) })
	slices.SortStableFunc(d.Changes, func(a, b heal.Change) int { return a.At.Compare(b.At) })
	slices.SortStableFunc(d.Spans, func(a, b heal.Span) int { return a.Start.Compare(b.Start) })
	return d, nil
}

// each reads a file, or every file below a folder in the order of their names.
func each(path string, read func(*file) error) error {
	found := 0
	err := filepath.WalkDir(path, func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return heal.Errorf(heal.Invalid, at, "%w", err)
		}
		if entry.IsDir() || at != path && strings.HasPrefix(entry.Name(), ".") {
			return nil
		}
		found++
		return readFile(at, read)
	})
	if err == nil && found == 0 {
		return heal.Errorf(heal.Invalid, path, "the folder holds no file")
	}
	return err
}

// file is one file being read.
type file struct {
	path string // as it was named
	stem string // its name without folder and endings
	kind string // its last ending but .gz: csv, json, jsonl, log
	text *bufio.Scanner
	line int
}

func readFile(path string, read func(*file) error) error {
	open, err := os.Open(path)
	if err != nil {
		return heal.Errorf(heal.Invalid, path, "%w", err)
	}
	defer open.Close()
	var from io.Reader = open
	name := filepath.Base(path)
	if strings.HasSuffix(name, ".gz") {
		zip, err := gzip.NewReader(open)
		if err != nil {
			return heal.Errorf(heal.Invalid, path, "is no gzip, as its name says: %w", err)
		}
		from, name = zip, strings.TrimSuffix(name, ".gz")
	}
	f := &file{path: path, kind: strings.ToLower(strings.TrimPrefix(filepath.Ext(name), "."))}
	f.stem = strings.TrimSuffix(name, filepath.Ext(name))
	f.text = bufio.NewScanner(io.LimitReader(from, maxFileBytes))
	f.text.Buffer(make([]byte, 64<<10), maxLineBytes)
	if err := read(f); err != nil {
		return err
	}
	if err := f.text.Err(); err != nil {
		return f.wrong("%v", err)
	}
	return nil
}

// next goes to the next line that is not empty.
func (f *file) next() (line string, ok bool) {
	for f.text.Scan() {
		f.line++
		if line = strings.TrimRight(strings.TrimPrefix(f.text.Text(), "\uFEFF"), "\r"); strings.TrimSpace(line) != "" {
			return line, true
		}
	}
	return "", false
}

// wrong is an error at the line.
func (f *file) wrong(format string, args ...any) error {
	return heal.Errorf(heal.Invalid, fmt.Sprintf("%s:%d", f.path, f.line), format, args...)
}

// service is the service a file is about where it says none itself: its name.
func (f *file) service() string {
	name := f.stem
	for _, end := range []string{"_metrics", "_metric", "_logs", "_log", "_traces", "_trace", "-metrics", "-logs", "-traces"} {
		name = strings.TrimSuffix(name, end)
	}
	return name
}

// timeForms are how times are written, besides as numbers.
var timeForms = []string{time.RFC3339Nano, time.DateTime, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", "2006/01/02 15:04:05"}

const timesExpected = "expected RFC 3339, 2006-01-02 15:04:05, or Unix time in s, ms, us or ns"

// readTime reads a time; one without a zone is UTC.
func readTime(text string) (time.Time, bool) {
	text = strings.TrimSpace(text)
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return unixTime(text, n)
	}
	text = strings.Replace(text, ",", ".", 1) // as Java and Python write milliseconds
	for _, form := range timeForms {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// unixTime tells the unit by the size: today is 1.7e9 s.
func unixTime(text string, n float64) (time.Time, bool) {
	whole, err := strconv.ParseInt(text, 10, 64)
	switch {
	case n < 1e8 || n > 4e18:
		return time.Time{}, false
	case n < 1e11:
		return time.Unix(0, int64(n*1e9)).UTC(), true
	case err != nil:
		return time.Time{}, false
	case n < 1e14:
		return time.UnixMilli(whole).UTC(), true
	case n < 1e17:
		return time.UnixMicro(whole).UTC(), true
	}
	return time.Unix(0, whole).UTC(), true
}

// named finds a column by one of its usual names, -1 if there is none.
func named(header []string, names ...string) int {
	for _, name := range names {
		for i, h := range header {
			if plain(h) == name {
				return i
			}
		}
	}
	return -1
}

// plain is a column's name in small letters without what parts its words.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '_', '-', ' ', '.':
			return -1
		}
		return r
	}, strings.ToLower(strings.TrimSpace(name)))
}
