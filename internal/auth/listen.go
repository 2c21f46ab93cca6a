package auth

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

// CheckListen refuses to listen where other machines can reach us without both
// TLS and authentication. A host name other than localhost counts as reachable:
// what it resolves to can change after the check.
func CheckListen(address string, tls, authenticated bool) error {
	op := "listen on " + address
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return heal.Errorf(heal.Invalid, op, "expected host:port such as 127.0.0.1:8080: %w", err)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return heal.Errorf(heal.Invalid, op, "the port is %q, expected 0 to 65535", port)
	}
	if IsLoopback(host) || tls && authenticated {
		return nil
	}
	missing := "TLS and authentication"
	switch {
	case tls:
		missing = "authentication"
	case authenticated:
		missing = "TLS"
	}
	return heal.Errorf(heal.Invalid, op, "other machines could reach it, and that needs %s; configure it, or listen on 127.0.0.1", missing)
}

// IsLoopback reports whether only this machine can reach the host: localhost or
// a loopback address. The empty host is every address.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
