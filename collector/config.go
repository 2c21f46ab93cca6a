package collector

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Config is the receiver's part of a Collector's configuration.
type Config struct {
	GRPCEndpoint    string             `mapstructure:"grpc_endpoint"`     // empty: off
	HTTPEndpoint    string             `mapstructure:"http_endpoint"`     // empty: off
	CertFile        string             `mapstructure:"cert_file"`         // PEM; needed unless the addresses are on loopback
	KeyFile         string             `mapstructure:"key_file"`          // PEM
	Rate            float64            `mapstructure:"rate"`              // share of ordinary traces that is kept, 0 to 1
	Services        map[string]float64 `mapstructure:"services"`          // rates of services that have one of their own
	Slow            time.Duration      `mapstructure:"slow"`              // longer spans are always kept; 0: length does not matter
	MaxRequestBytes int                `mapstructure:"max_request_bytes"` // after decompression
}

// Validate reports every mistake at once.
func (c *Config) Validate() error {
	var errs []error
	wrong := func(key, expected, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s; expected %s", key, fmt.Sprintf(format, args...), expected))
	}
	if c.GRPCEndpoint == "" && c.HTTPEndpoint == "" {
		wrong("grpc_endpoint", "this or http_endpoint", "both are empty")
	}
	for key, addr := range map[string]string{"grpc_endpoint": c.GRPCEndpoint, "http_endpoint": c.HTTPEndpoint} {
		if addr == "" {
			continue
		}
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			wrong(key, "host:port, as in 127.0.0.1:4317", "is %q", addr)
		} else if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) && c.CertFile == "" {
			wrong(key, "a loopback address, or cert_file and key_file", "%q is open to others", addr)
		}
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		wrong("cert_file", "both cert_file and key_file, or neither", "only one of them is there")
	}
	if !(c.Rate >= 0 && c.Rate <= 1) { // NaN too
		wrong("rate", "between 0 and 1", "is %g", c.Rate)
	}
	for service, rate := range c.Services {
		if !(rate >= 0 && rate <= 1) {
			wrong("services::"+service, "between 0 and 1", "is %g", rate)
		}
	}
	if c.Slow < 0 {
		wrong("slow", "a length of time", "is %s", c.Slow)
	}
	if c.MaxRequestBytes < 1024 {
		wrong("max_request_bytes", "at least 1024", "is %d", c.MaxRequestBytes)
	}
	return errors.Join(errs...)
}

func (c *Config) tls() (*tls.Config, error) {
	if c.CertFile == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("cert_file: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}
