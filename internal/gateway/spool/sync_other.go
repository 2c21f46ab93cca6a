//go:build !linux

package spool

import "os"

func datasync(f *os.File) error { return f.Sync() }

// lock does nothing: only Linux is supported in production.
func lock(*os.File) error { return nil }
