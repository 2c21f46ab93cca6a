//go:build unix

package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/homeostat/homeostat/internal/heal"
)

// lockFile takes the lock that one process at a time may hold. The kernel
// drops it when the process ends, however that happens; the file stays.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, heal.Errorf(heal.Denied, "", "%w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		kind, text := heal.Transient, err.Error()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			kind, text = heal.Conflict, "another Homeostat has it open"+holder(f)
		}
		return nil, errors.Join(heal.Errorf(kind, "lock "+path, "%s", text), f.Close())
	}
	if err := writeHolder(f); err != nil {
		return nil, errors.Join(heal.Errorf(heal.Transient, "lock "+path, "%w", err), f.Close())
	}
	return f, nil
}

func writeHolder(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	return err
}

func holder(f *os.File) string {
	text, err := io.ReadAll(io.LimitReader(f, 20))
	if pid := strings.TrimSpace(string(text)); err == nil && pid != "" {
		return " (process " + pid + ")"
	}
	return ""
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
