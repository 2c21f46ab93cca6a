package spool

import (
	"os"
	"syscall"
)

// datasync makes what was written to f durable, its length included; times and
// the like may be lost.
func datasync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}

// lock keeps other processes out of the folder until f is closed.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
