package shop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// stockDB is a database just large enough to need connections: a TCP server on
// loopback that answers each line "GET sku" or "TAKE sku" with the amount left.
type stockDB struct {
	listener *net.TCPListener

	mu    sync.Mutex
	left  map[string]int
	conns map[net.Conn]bool
}

// restock is how many of a thing are there at first, and again when none is left.
const restock = 1000

// maxGoods is how many different things the shop keeps count of.
const maxGoods = 10000

func openStockDB() (*stockDB, error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("start the stock database: %w", err)
	}
	return &stockDB{listener: l, left: map[string]int{}, conns: map[net.Conn]bool{}}, nil
}

// run serves until ctx ends.
func (db *stockDB) run(ctx context.Context) error {
	var wait sync.WaitGroup
	defer wait.Wait()
	stop := context.AfterFunc(ctx, db.close)
	defer stop()
	for {
		conn, err := db.listener.Accept()
		if err != nil {
			db.close()
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("stock database: %w", err)
		}
		db.mu.Lock()
		db.conns[conn] = true
		db.mu.Unlock()
		wait.Go(func() { db.serve(conn) })
	}
}

func (db *stockDB) close() {
	db.listener.Close()
	db.mu.Lock()
	defer db.mu.Unlock()
	for conn := range db.conns {
		conn.Close()
	}
}

func (db *stockDB) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		db.mu.Lock()
		delete(db.conns, conn)
		db.mu.Unlock()
	}()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if _, err := fmt.Fprintln(conn, db.answer(lines.Text())); err != nil {
			return
		}
	}
}

func (db *stockDB) answer(line string) string {
	var verb, sku string
	if _, err := fmt.Sscan(line, &verb, &sku); err != nil {
		return "ERR expected: GET sku or TAKE sku"
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	left, ok := db.left[sku]
	if !ok || left == 0 {
		left = restock
	}
	if verb == "TAKE" {
		left--
	}
	if ok || len(db.left) < maxGoods {
		db.left[sku] = left
	}
	return fmt.Sprint("OK ", left)
}

func (db *stockDB) dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", db.listener.Addr().String())
}

// ask sends one line over a connection and reads the amount.
func ask(ctx context.Context, conn net.Conn, verb, sku string) (int, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(5 * time.Second)
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return 0, err
	}
	if _, err := fmt.Fprintf(conn, "%s %s\n", verb, sku); err != nil {
		return 0, err
	}
	var left int
	if _, err := fmt.Fscanf(conn, "OK %d\n", &left); err != nil {
		return 0, fmt.Errorf("read the answer of the stock database: %w", err)
	}
	return left, nil
}
