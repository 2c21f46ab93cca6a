//go:build e2e

package e2e_test

import (
	bits "encoding/binary" // binary is the program under test
	"io"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// wiretap stands between a server and its database and reads what the database
// answers. The connection is not encrypted.
type wiretap struct {
	t    *testing.T
	l    net.Listener
	to   string // the socket of the database
	open sync.WaitGroup

	mu        sync.Mutex
	committed func() // called for each commit that stands, before the server hears of it
}

// tap gives the DSN of an empty database behind a wiretap.
func tap(t *testing.T) (*wiretap, string) {
	t.Helper()
	direct, err := url.Parse(newDatabase(t))
	must(t, err)
	at := direct.Query()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w := &wiretap{t: t, l: l, to: filepath.Join(at.Get("host"), ".s.PGSQL."+at.Get("port"))}
	w.open.Go(w.accept)
	t.Cleanup(func() {
		l.Close()
		w.open.Wait()
	})
	direct.Host, direct.RawQuery = l.Addr().String(), "sslmode=disable"
	return w, direct.String()
}

// whenCommitted has f called for each commit from now on; nil for nobody.
func (w *wiretap) whenCommitted(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.committed = f
}

func (w *wiretap) accept() {
	for {
		server, err := w.l.Accept()
		if err != nil {
			return // the test is over
		}
		w.open.Go(func() { w.carry(server) })
	}
}

// carry takes one connection to the database until either end closes it.
func (w *wiretap) carry(server net.Conn) {
	defer server.Close()
	database, err := net.Dial("unix", w.to)
	if err != nil {
		w.t.Errorf("reach the database: %v", err)
		return
	}
	defer database.Close()
	w.open.Go(func() {
		_, _ = io.Copy(database, server) // either may die
		database.Close()
	})
	_ = w.answers(database, server) // either may die
}

// answers passes on what the database says, message by message: a byte that
// names the kind, the length of the rest in four, itself included, and the rest.
func (w *wiretap) answers(database io.Reader, server io.Writer) error {
	for {
		message := make([]byte, 5)
		if _, err := io.ReadFull(database, message); err != nil {
			return err
		}
		message = slices.Grow(message, int(bits.BigEndian.Uint32(message[1:])))
		message = message[:1+bits.BigEndian.Uint32(message[1:])]
		if _, err := io.ReadFull(database, message[5:]); err != nil {
			return err
		}
		if message[0] == 'C' && string(message[5:]) == "COMMIT\x00" { // CommandComplete
			w.tell()
		}
		if _, err := server.Write(message); err != nil {
			return err
		}
	}
}

func (w *wiretap) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.committed != nil {
		w.committed()
	}
}
