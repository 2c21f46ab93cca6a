package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxProcFile is how much of a file below /proc is read: longer command lines
// than a program can be told apart by do not match.
const maxProcFile = 256 << 10

// ticksPerSecond is the unit of times in /proc (USER_HZ), 100 on every
// architecture Go runs Linux on.
const ticksPerSecond = 100

// startSlack is how much later than its pid file a process may seem to have
// begun: the boot time in /proc/stat is rounded to seconds.
const startSlack = 2 * time.Second

func newProcessProber(c Process, root string) prober {
	table := procTable{root: root}
	return func(ctx context.Context) error {
		if c.PIDFile != "" {
			return table.checkPIDFile(c)
		}
		return table.find(ctx, c)
	}
}

// procTable reads the processes below root.
type procTable struct{ root string }

// checkPIDFile reports whether the process the file names runs and is the one
// meant.
func (p procTable) checkPIDFile(c Process) error {
	text, err := readLimited(c.PIDFile)
	if err != nil {
		return fmt.Errorf("read pid file: %w", err)
	}
	pid, start, err := parsePIDFile(text)
	if err != nil {
		return fmt.Errorf("pid file %s: %w", c.PIDFile, err)
	}
	stat, err := p.stat(pid)
	if err != nil {
		return err
	}
	if stat.dead() {
		return fmt.Errorf("process %d has ended", pid)
	}
	if start != 0 && start != stat.start {
		return fmt.Errorf("process %d is another one: it began at tick %d, the pid file says %d", pid, stat.start, start)
	}
	if start == 0 {
		if err := p.beganBefore(c.PIDFile, pid, stat); err != nil {
			return err
		}
	}
	if c.Exe != "" && !p.matches(pid, c) {
		return fmt.Errorf("process %d does not run %s", pid, c.command())
	}
	return nil
}

func (p procTable) beganBefore(pidFile string, pid int, stat procStat) error {
	info, err := os.Stat(pidFile)
	if err != nil {
		return fmt.Errorf("read pid file: %w", err)
	}
	text, err := readLimited(filepath.Join(p.root, "stat"))
	if err != nil {
		return fmt.Errorf("read boot time: %w", err)
	}
	boot, err := parseBootTime(text)
	if err != nil {
		return err
	}
	began := boot.Add(time.Duration(stat.start) * (time.Second / ticksPerSecond))
	if began.After(info.ModTime().Add(startSlack)) {
		return fmt.Errorf("process %d is another one: it began after the pid file was written", pid)
	}
	return nil
}

// find looks through all processes for one that matches.
func (p procTable) find(ctx context.Context, c Process) error {
	dir, err := os.Open(p.root)
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(256)
		for _, name := range names {
			pid, notPID := strconv.Atoi(name)
			if notPID != nil || !p.matches(pid, c) {
				continue
			}
			if stat, err := p.stat(pid); err == nil && !stat.dead() {
				return nil
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("no process runs %s", c.command())
		case err != nil:
			return fmt.Errorf("list processes: %w", err)
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// matches compares program and arguments. Of a foreign user's process the
// executable cannot be read; then the first argument alone decides.
func (p procTable) matches(pid int, c Process) bool {
	dir := filepath.Join(p.root, strconv.Itoa(pid))
	text, err := readLimited(filepath.Join(dir, "cmdline"))
	if err != nil || len(text) == 0 {
		return false
	}
	args := splitCmdline(text)
	exe, err := os.Readlink(filepath.Join(dir, "exe"))
	if err != nil {
		exe = args[0]
	}
	exe = strings.TrimSuffix(exe, " (deleted)")
	if !sameProgram(c.Exe, exe) && !sameProgram(c.Exe, args[0]) {
		return false
	}
	return c.Args == nil || slices.Equal(c.Args, args[1:])
}

func sameProgram(want, got string) bool {
	if strings.Contains(want, "/") {
		return filepath.Clean(want) == filepath.Clean(got)
	}
	return want == filepath.Base(got)
}

func (p procTable) stat(pid int) (procStat, error) {
	text, err := readLimited(filepath.Join(p.root, strconv.Itoa(pid), "stat"))
	if errors.Is(err, fs.ErrNotExist) {
		return procStat{}, fmt.Errorf("process %d does not run", pid)
	}
	if err != nil {
		return procStat{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	return parseStat(text)
}

// procStat is what of /proc/<pid>/stat is used, see proc_pid_stat(5).
type procStat struct {
	state byte
	start int64 // clock ticks since boot
}

func (s procStat) dead() bool { return s.state == 'Z' || s.state == 'X' || s.state == 'x' }

// parseStat reads fields 3 and 22. Field 2, the name, may hold spaces and
// parentheses, so counting begins after the last parenthesis.
func parseStat(text []byte) (procStat, error) {
	end := bytes.LastIndexByte(text, ')')
	fields := bytes.Fields(text[end+1:])
	if end < 0 || len(fields) < 20 || len(fields[0]) != 1 {
		return procStat{}, fmt.Errorf("stat of a process has %d fields after the name, expected 20 at least", len(fields))
	}
	start, err := strconv.ParseInt(string(fields[19]), 10, 64)
	if err != nil || start < 0 {
		return procStat{}, fmt.Errorf("stat of a process has the start time %.40q, expected clock ticks", fields[19])
	}
	return procStat{state: fields[0][0], start: start}, nil
}

// parsePIDFile reads "pid" or "pid start"; start is 0 if it is not there.
func parsePIDFile(text []byte) (pid int, start int64, err error) {
	fields := bytes.Fields(text)
	if len(fields) == 0 {
		return 0, 0, errors.New("is empty, expected a process id")
	}
	n, err := strconv.ParseInt(string(fields[0]), 10, 32)
	if err != nil || n <= 0 {
		return 0, 0, fmt.Errorf("holds %.40q, expected a process id", fields[0])
	}
	if len(fields) > 1 {
		start, err = strconv.ParseInt(string(fields[1]), 10, 64)
		if err != nil || start <= 0 {
			return 0, 0, fmt.Errorf("holds %.40q after the process id, expected its start time in clock ticks", fields[1])
		}
	}
	return int(n), start, nil
}

// parseBootTime reads the line btime of /proc/stat.
func parseBootTime(text []byte) (time.Time, error) {
	for line := range bytes.Lines(text) {
		rest, ok := bytes.CutPrefix(line, []byte("btime "))
		if !ok {
			continue
		}
		seconds, err := strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64)
		if err != nil {
			return time.Time{}, fmt.Errorf("boot time is %.40q, expected seconds", rest)
		}
		return time.Unix(seconds, 0), nil
	}
	return time.Time{}, errors.New("/proc/stat has no line btime")
}

// splitCmdline parts the arguments, each of which ends in a NUL. A process
// that rewrote its title may have none.
func splitCmdline(text []byte) []string {
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxProcFile))
}
