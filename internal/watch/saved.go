package watch

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/detect"
	"github.com/homeostat/homeostat/internal/heal"
)

// The files of the state: what services suffer from, small and kept often, and
// the detectors of all series. Each is replaced whole.
const (
	judgesFile = "judges.json"
	seriesFile = "series.state"
)

// seriesMagic begins the file of series; its last character is the version.
const seriesMagic = "homeostat watch 1"

// maxName bounds the names in a saved state, and maxState the state of one
// series, in bytes.
const (
	maxName  = 64 << 10
	maxState = 64 << 10
	maxFile  = 256 << 20 // of judges
)

type savedJudge struct {
	Entity    heal.EntityID     `json:"entity"`
	Judges    map[Golden]*judge `json:"judges"`
	Anomalies []*Anomaly        `json:"anomalies,omitempty"`
}

type savedJudges struct {
	Version  int          `json:"version"`
	Entities []savedJudge `json:"entities"`
}

// save keeps the judges, and with all the series too.
func (w *Watcher) save(all bool) error {
	if err := os.MkdirAll(w.opts.Dir, 0o700); err != nil {
		return heal.Errorf(heal.Internal, "keep series", "%w", err)
	}
	w.mu.Lock()
	kept := savedJudges{Version: 1}
	for _, id := range slices.Sorted(maps.Keys(w.entities)) {
		e := w.entities[id]
		kept.Entities = append(kept.Entities, savedJudge{Entity: id, Judges: e.judges, Anomalies: e.anomalies})
	}
	data, err := json.Marshal(kept)
	w.mu.Unlock()
	if err == nil {
		err = replace(filepath.Join(w.opts.Dir, judgesFile), func(to *bufio.Writer) error {
			_, err := to.Write(data)
			return err
		})
	}
	if err == nil && all {
		err = replace(filepath.Join(w.opts.Dir, seriesFile), w.writeSeries)
	}
	return heal.Wrap("keep series", err)
}

// replace writes a file beside the old one and puts it in its place.
func replace(path string, write func(*bufio.Writer) error) (err error) {
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	to := bufio.NewWriterSize(file, 1<<20)
	err = errors.Join(write(to), to.Flush(), file.Sync(), file.Close())
	if err != nil {
		return errors.Join(err, os.Remove(path+".new"))
	}
	return os.Rename(path+".new", path)
}

// writeSeries writes one service after the other, so that a look waits for one
// at most.
func (w *Watcher) writeSeries(to *bufio.Writer) error {
	w.mu.Lock()
	ids := slices.Sorted(maps.Keys(w.entities))
	w.mu.Unlock()
	if _, err := to.WriteString(seriesMagic); err != nil {
		return err
	}
	var b, state []byte
	for _, id := range ids {
		b = b[:0]
		w.mu.Lock()
		if e := w.entities[id]; e != nil {
			for _, key := range slices.Sorted(maps.Keys(e.tracks)) {
				t := e.tracks[key]
				b = appendText(appendText(b, string(id)), key)
				b = binary.LittleEndian.AppendUint64(b, math.Float64bits(t.usual.mean))
				b = binary.LittleEndian.AppendUint64(b, math.Float64bits(t.usual.spread))
				b = binary.LittleEndian.AppendUint32(b, t.usual.n)
				b = binary.LittleEndian.AppendUint64(b, uint64(t.seen.UnixNano()))
				state = t.series.Append(state[:0])
				b = appendText(b, string(state))
			}
		}
		w.mu.Unlock()
		if _, err := to.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// restore reads what was kept. What it cannot read it leaves aside as a whole.
func (w *Watcher) restore() error {
	if err := w.restoreSeries(); err != nil {
		w.entities, w.stats.Series = map[heal.EntityID]*entity{}, 0
		return errors.Join(err, w.restoreJudges())
	}
	return w.restoreJudges()
}

func (w *Watcher) restoreJudges() error {
	data, err := readBounded(filepath.Join(w.opts.Dir, judgesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return heal.Errorf(heal.Internal, "take up what services suffer from", "%w", err)
	}
	return w.takeUp(data)
}

// takeUp reads the file of judges.
func (w *Watcher) takeUp(data []byte) error {
	const op = "take up what services suffer from"
	var kept savedJudges
	if err := json.Unmarshal(data, &kept); err != nil {
		return heal.Errorf(heal.Invalid, op, "%w", err)
	}
	if kept.Version != 1 {
		return heal.Errorf(heal.Invalid, op, "version %d, expected 1", kept.Version)
	}
	for _, s := range kept.Entities {
		if err := s.Entity.Validate(); err != nil {
			return heal.Errorf(heal.Invalid, op, "%w", err)
		}
		if len(w.entities) >= w.opts.MaxSeries {
			break
		}
		e := w.entityOf(s.Entity)
		for g, j := range s.Judges {
			if _, known := rises[g]; known && j != nil && j.sane() {
				e.judges[g] = j
			}
		}
		for _, a := range s.Anomalies[:min(len(s.Anomalies), keptAnomalies)] {
			if a != nil {
				e.anomalies = append(e.anomalies, a)
			}
		}
	}
	return nil
}

// sane reports whether a judge can be gone on with.
func (j *judge) sane() bool {
	return len(j.Memory.Values) <= memoryPoints && j.Memory.At >= 0 && j.Memory.At <= memoryPoints && j.Over >= 0 && j.Above >= 0 && j.Under >= 0 && j.Absent >= 0
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxFile))
}

func (w *Watcher) entityOf(id heal.EntityID) *entity {
	e := w.entities[id]
	if e == nil {
		e = newEntity(id)
		w.entities[id] = e
	}
	return e
}

func (w *Watcher) restoreSeries() error {
	file, err := os.Open(filepath.Join(w.opts.Dir, seriesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return heal.Errorf(heal.Internal, "take up series", "%w", err)
	}
	defer file.Close()
	return w.readSeries(bufio.NewReaderSize(file, 1<<20))
}

// readSeries reads what writeSeries wrote.
func (w *Watcher) readSeries(from *bufio.Reader) error {
	const op = "take up series"
	magic := make([]byte, len(seriesMagic))
	if _, err := io.ReadFull(from, magic); err != nil || string(magic) != seriesMagic {
		return heal.Errorf(heal.Invalid, op, "the file begins with %q, expected %q", magic, seriesMagic)
	}
	for n := 1; ; n++ {
		_, err := from.Peek(1)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = w.readTrack(from)
		}
		if err != nil {
			return heal.Errorf(heal.Invalid, op, "series %d: %w", n, err)
		}
	}
}

func (w *Watcher) readTrack(from *bufio.Reader) error {
	id, err1 := readText(from, maxName)
	key, err2 := readText(from, maxName)
	var fixed [28]byte
	_, err3 := io.ReadFull(from, fixed[:])
	state, err4 := readText(from, maxState)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	if err := heal.EntityID(id).Validate(); err != nil {
		return err
	}
	series, err := detect.RestoreSeries(state)
	if err != nil {
		return err
	}
	if w.stats.Series >= w.opts.MaxSeries {
		w.stats.Dropped++
		return nil
	}
	t := newTrack(string(key))
	t.series, t.seen = series, time.Unix(0, int64(binary.LittleEndian.Uint64(fixed[20:]))).UTC()
	t.usual.mean = math.Float64frombits(binary.LittleEndian.Uint64(fixed[:]))
	t.usual.spread = math.Float64frombits(binary.LittleEndian.Uint64(fixed[8:]))
	t.usual.n = binary.LittleEndian.Uint32(fixed[16:])
	if math.IsNaN(t.usual.mean+t.usual.spread) || math.IsInf(t.usual.mean+t.usual.spread, 0) || t.usual.spread < 0 {
		return errors.New("what is usual is no number")
	}
	e := w.entityOf(heal.EntityID(id))
	if e.tracks[string(key)] == nil {
		w.stats.Series++
	}
	e.tracks[string(key)] = t
	return nil
}

func readText(from *bufio.Reader, most uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(from)
	if err != nil {
		return nil, err
	}
	if n > most {
		return nil, errors.New("a part is longer than any that is written")
	}
	b := make([]byte, n)
	_, err = io.ReadFull(from, b)
	return b, err
}

// Save keeps everything now.
func (w *Watcher) Save() error { return w.save(true) }
