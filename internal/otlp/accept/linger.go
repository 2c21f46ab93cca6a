package accept

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// The end of a connection, at most.
const (
	lingerFor   = 500 * time.Millisecond
	lingerBytes = 4 << 20
)

// Linger lets what was written last arrive: it ends what is written, and reads
// what the peer still sends until the peer ends too. Closed at once, a connection
// with input that nobody read is reset, and what the peer had not read yet may be
// lost. It ends in time, and does nothing where one direction cannot be ended
// alone. The connection must be closed after it.
func Linger(c net.Conn) {
	half, ok := c.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return // there is nobody to wait for
	}
	until := time.Now().Add(lingerFor)
	for left := int64(lingerBytes); left > 0 && time.Now().Before(until) && c.SetReadDeadline(until) == nil; {
		n, err := io.CopyN(io.Discard, c, left) // whatever it is
		left -= n
		if !errors.Is(err, os.ErrDeadlineExceeded) { // which somebody may have set to wake the reader
			return
		}
	}
}
