package otlp

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestSessionsOverTLSAreResumed(t *testing.T) {
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	defer certified.Close()
	s := serve(t, Options{TLS: &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}}, &memory{})
	transport, _ := certified.Client().Transport.(*http.Transport)
	config := transport.TLSClientConfig.Clone()
	config.ServerName, config.NextProtos, config.MaxVersion = "example.com", []string{"h2"}, tls.VersionTLS12 // whose handshake has the ticket
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for _, want := range []bool{false, true} {
		c, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", s.Addrs().GRPC)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.(*tls.Conn).ConnectionState().DidResume; got != want {
			t.Errorf("got a session resumed: %v, want %v", got, want)
		}
		_ = c.Close()
	}
}
