//go:build postgres

package postgres

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/homeostat/homeostat/internal/store/pgtest"
)

// proxy stands between a store and its server, and loses the connection when it
// is told to. It is a TCP listener on loopback.
type proxy struct {
	l      net.Listener
	target string

	mu     sync.Mutex
	cut    cut
	closed bool // to new connections
	conns  map[net.Conn]bool
	wg     sync.WaitGroup
}

// cut says at which of the next packets of a client its connection is lost.
type cut int

const (
	never       cut = iota
	beforeAsked     // the server does not get the packet
	afterAsked      // it does, and its answer is lost
)

func newProxy(t *testing.T, s *pgtest.Server) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, target: fmt.Sprintf("127.0.0.1:%d", s.Port), conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.drop()
		p.wg.Wait()
	})
	return p
}

// dsn names the server's database through the proxy.
func (p *proxy) dsn(user, password, database string) DSN {
	return DSN(fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", user, password, p.l.Addr(), database))
}

func (p *proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.target)
	if err != nil || !p.keep(client, server) {
		return
	}
	defer server.Close()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _ = io.Copy(client, server)
		client.Close()
	}()
	packet := make([]byte, 1<<20)
	for {
		n, err := client.Read(packet)
		switch how := p.how(n, err); how {
		case beforeAsked:
			client.Close()
		case afterAsked:
			client.Close() // the answer has nowhere to go
			_, _ = server.Write(packet[:n])
			// Sync is answered when the commit is over; only then is the server's
			// side closed.
			_, _ = server.Write([]byte{'X', 0, 0, 0, 4})
			<-answered
		case never:
			if err == nil {
				_, err = server.Write(packet[:n])
			}
			if err == nil {
				continue
			}
		}
		server.Close()
		<-answered
		return
	}
}

// keep notes a new connection; false if none are taken.
func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.closed {
			c.Close()
		}
		p.conns[c] = true
	}
	return !p.closed
}

// how says what happens to a packet; an order to cut is for one packet.
func (p *proxy) how(n int, err error) cut {
	if n == 0 || err != nil {
		return never
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	how := p.cut
	p.cut = never
	return how
}

// arm loses the connection at the next packet of whatever client; with away no
// new connection is taken after that.
func (p *proxy) arm(how cut, away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.closed = how, away
}

// drop loses all connections.
func (p *proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
}

// role makes a user with a password who owns a new database.
func role(t *testing.T, s *pgtest.Server, name, password string) (database string) {
	t.Helper()
	database, err := s.Database(t.Context())
	err = errors.Join(err, s.Exec(t.Context(), "postgres", fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", name, password)),
		s.Exec(t.Context(), "postgres", fmt.Sprintf("ALTER DATABASE %s OWNER TO %s", database, name)))
	if err != nil {
		t.Fatal(err)
	}
	return database
}
