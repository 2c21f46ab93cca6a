package shop

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"
)

// recordSize is the length of one record of the ledger in bytes: a checksum in
// hex, a space, what was paid, padded, and a newline.
const recordSize = 48

// maxLedger bounds the ledger's file; then it begins anew.
const maxLedger = 16 << 20

// errLedger says that what was written down cannot be read back.
var errLedger = errors.New("the last record of the ledger does not match its checksum")

// ledger is where payment writes every payment down before it says that it is
// paid. It lies in a file, so what is wrong with it outlives the process.
type ledger struct {
	mu   sync.Mutex
	file *os.File
}

func openLedger(path string) (*ledger, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	return &ledger{file: f}, nil
}

func (l *ledger) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}

// add writes one payment down, unless the record before it is damaged.
func (l *ledger) add(text string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	end, err := l.checked()
	if err != nil {
		return err
	}
	if end > maxLedger {
		if err := l.file.Truncate(0); err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		end = 0
	}
	_, err = l.file.WriteAt(record(text), end)
	return err
}

// check reports whether the ledger can be written to.
func (l *ledger) check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.checked()
	return err
}

// checked gives the end of the ledger if its last record is whole.
func (l *ledger) checked() (int64, error) {
	end, err := l.file.Seek(0, io.SeekEnd)
	if err != nil || end == 0 {
		return 0, err
	}
	if end%recordSize != 0 {
		return 0, errLedger
	}
	last := make([]byte, recordSize)
	if _, err := l.file.ReadAt(last, end-recordSize); err != nil {
		return 0, fmt.Errorf("ledger: %w", err)
	}
	if !bytes.Equal(last[:8], checksum(last[8:])) {
		return 0, errLedger
	}
	return end, nil
}

// damage is a write that was torn.
func (l *ledger) damage() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	end, err := l.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	torn := record("torn")
	copy(torn, "00000000")
	_, err = l.file.WriteAt(torn, end)
	return err
}

// repair takes damaged records off the end, as a person would.
func (l *ledger) repair() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		_, err := l.checked()
		if !errors.Is(err, errLedger) {
			return err
		}
		end, err := l.file.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		if err := l.file.Truncate((end - 1) / recordSize * recordSize); err != nil {
			return err
		}
	}
}

func record(text string) []byte {
	rest := fmt.Appendf(nil, " %-*.*s\n", recordSize-10, recordSize-10, text)
	return append(checksum(rest), rest...)
}

func checksum(rest []byte) []byte { return fmt.Appendf(nil, "%08x", crc32.ChecksumIEEE(rest)) }
