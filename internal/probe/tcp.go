package probe

import (
	"context"
	"net"
)

func newTCPProber(c TCP) prober {
	return func(ctx context.Context) error {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", c.Address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}
