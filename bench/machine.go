package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// machine is what the figures were measured on.
type machine struct {
	CPU      string `json:"cpu"`
	Cores    int    `json:"cores"`
	MemoryMB int    `json:"memory_mb"`
	Kernel   string `json:"kernel"`
	Go       string `json:"go"`
	Commit   string `json:"commit"`
	Dir      string `json:"dir"`
	FsyncP50 int64  `json:"fsync_p50_ns"`
	FsyncP99 int64  `json:"fsync_p99_ns"`
	Load     string `json:"load"` // 1, 5 and 15 minutes, before the first measurement
	At       string `json:"at"`
}

func readMachine(ctx context.Context, dir string) (machine, error) {
	m := machine{
		CPU: procField("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), Kernel: firstLine("/proc/sys/kernel/osrelease"),
		Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH, Commit: commit(ctx), Dir: filepath.Dir(dir),
		Load: loadAverage(), At: time.Now().UTC().Format(time.RFC3339),
	}
	kb, _, _ := strings.Cut(procField("/proc/meminfo", "MemTotal"), " ")
	if n, err := strconv.Atoi(kb); err == nil {
		m.MemoryMB = n / 1024
	}
	var err error
	m.FsyncP50, m.FsyncP99, err = fsync(dir)
	return m, err
}

// fsync times how long the disk takes to make one more page durable.
func fsync(dir string) (p50, p99 int64, err error) {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	page := make([]byte, 4096)
	took := make([]int64, 500)
	for i := range took {
		if _, err := f.Write(page); err != nil {
			return 0, 0, err
		}
		began := time.Now()
		if err := f.Sync(); err != nil {
			return 0, 0, err
		}
		took[i] = time.Since(began).Nanoseconds()
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100], nil
}

// commit is the version in the working tree, marked if files differ from it.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=10").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func loadAverage() string {
	fields := strings.Fields(firstLine("/proc/loadavg"))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

func firstLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "unknown" // not Linux
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return line
}

// procField reads "name : value" from a file of /proc.
func procField(path, name string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "unknown" // not Linux
	}
	for line := range strings.Lines(string(data)) {
		key, value, found := strings.Cut(line, ":")
		if found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
