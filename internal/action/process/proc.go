package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// identity names one process for all time: pids are used again, the pair of
// pid and start time is not within one boot.
type identity struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start_ticks"` // field 22 of /proc/<pid>/stat
	Boot  string `json:"boot_id"`
}

// stat is what the driver needs of /proc/<pid>/stat.
type stat struct {
	State   byte
	Session int
	Start   uint64
}

// gone reports a process that has ended, reaped or not.
func (s stat) gone() bool { return s.State == 'Z' || s.State == 'X' || s.State == 'x' }

// parseStat reads the line of /proc/<pid>/stat, proc(5). The second field, the
// name in parentheses, may hold anything, parentheses and newlines included.
func parseStat(line []byte) (stat, error) {
	end := bytes.LastIndexByte(line, ')')
	if end < 0 {
		return stat{}, errors.New("no name in parentheses")
	}
	fields := strings.Fields(string(line[end+1:]))
	const session, start = 6 - 3, 22 - 3 // fields are counted from 1, the first here is the third
	if len(fields) <= start || len(fields[0]) != 1 {
		return stat{}, fmt.Errorf("%d fields after the name, expected 20 or more", len(fields))
	}
	s := stat{State: fields[0][0]}
	var err error
	if s.Session, err = strconv.Atoi(fields[session]); err != nil {
		return stat{}, fmt.Errorf("session: %w", err)
	}
	if s.Start, err = strconv.ParseUint(fields[start], 10, 64); err != nil {
		return stat{}, fmt.Errorf("start time: %w", err)
	}
	return s, nil
}

// readStat gives the stat of a pid; an error if there is no such process.
func readStat(pid int) (stat, error) {
	line, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return stat{}, err
	}
	return parseStat(line)
}

// alive reports whether the very process still runs.
func (id identity) alive(boot string) bool {
	if id.PID <= 0 || id.Boot != boot {
		return false
	}
	s, err := readStat(id.PID)
	return err == nil && s.Start == id.Start && !s.gone()
}

// bootID tells this boot of the machine from every other.
func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
}

// The environment variables by which a started process is found again when the
// record of its start was lost in a crash.
const (
	markPrefix   = "HOMEOSTAT_"
	markKey      = "HOMEOSTAT_STEP_KEY"
	markProcess  = "HOMEOSTAT_PROCESS"
	markInstance = "HOMEOSTAT_INSTANCE"
	markDir      = "HOMEOSTAT_STATE_DIR"
)

var marks = []string{markKey, markProcess, markInstance, markDir}

// mark is what those variables said.
type mark struct {
	Key      string
	Process  string
	Instance int
	Dir      string
}

// parseMark reads the marks out of /proc/<pid>/environ; false if one is missing.
func parseMark(environ []byte) (mark, bool) {
	values := map[string]string{}
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		name, value, ok := strings.Cut(string(entry), "=")
		if ok && strings.HasPrefix(name, markPrefix) {
			values[name] = value
		}
	}
	n, err := strconv.Atoi(values[markInstance])
	m := mark{Key: values[markKey], Process: values[markProcess], Instance: n, Dir: values[markDir]}
	return m, err == nil && n >= 0 && m.Key != "" && m.Process != "" && m.Dir != ""
}

// marked finds the running instances of a process by their environment.
// Descendants inherit it, so only leaders of a session count, and of several
// the oldest.
func marked(dir, name, boot string) (map[int]instance, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	found := map[int]instance{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		s, err := readStat(pid)
		if err != nil || s.gone() || s.Session != pid {
			continue
		}
		m, ok := readMark(pid)
		if !ok || m.Dir != dir || m.Process != name {
			continue
		}
		if other, ok := found[m.Instance]; ok && other.Start <= s.Start {
			continue
		}
		found[m.Instance] = instance{
			N:        m.Instance,
			Key:      m.Key,
			identity: identity{PID: pid, Start: s.Start, Boot: boot},
		}
	}
	return found, nil
}

// readMark fails for processes of other users, which are none of ours.
func readMark(pid int) (mark, bool) {
	f, err := os.Open(procFile(pid, "environ"))
	if err != nil {
		return mark{}, false
	}
	defer f.Close()
	const most = 4 << 20 // bytes; ARG_MAX bounds what a process can be given
	environ, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return mark{}, false
	}
	return parseMark(environ)
}

func procFile(pid int, name string) string {
	return "/proc/" + strconv.Itoa(pid) + "/" + name
}
