//go:build postgres

package postgres

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store/pgtest"
)

// TestTLS: the DSN decides how the connection is protected, and a certificate
// that does not prove the server's name ends it before the password is sent.
func TestTLS(t *testing.T) {
	server := newServer(t)
	ours, key := certificate(t)
	theirs, _ := certificate(t)
	dir := t.TempDir()
	for name, text := range map[string][]byte{"ours.pem": ours, "theirs.pem": theirs} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	database := role(t, server, "guarded", "pw-of-guarded")
	for _, err := range []error{
		server.Write("server.crt", ours), server.Write("server.key", key), server.Configure("ssl = on"),
		server.Admit("hostnossl all all all reject"), server.Stop(pgtest.Fast), server.Start(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, host, query string
		kind              heal.Kind
		ok                bool
	}{
		{"verified", "127.0.0.1", "sslmode=verify-full&sslrootcert=" + dir + "/ours.pem", 0, true},
		{"verified by the authority alone", "127.0.0.1", "sslmode=verify-ca&sslrootcert=" + dir + "/ours.pem", 0, true},
		{"encrypted and not verified", "127.0.0.1", "sslmode=require", 0, true},
		{"of another authority", "127.0.0.1", "sslmode=verify-full&sslrootcert=" + dir + "/theirs.pem", heal.Denied, false},
		{"of another name", "localhost", "sslmode=verify-full&sslrootcert=" + dir + "/ours.pem", heal.Denied, false},
		{"in the clear", "127.0.0.1", "sslmode=disable", heal.Denied, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			db, err := Open(t.Context(), Options{DSN: DSN(fmt.Sprintf("postgres://guarded:pw-of-guarded@%s:%d/%s?%s", test.host, server.Port, database, test.query)), Patience: time.Millisecond})
			if (err == nil) != test.ok || err != nil && !heal.Is(err, test.kind) {
				t.Fatalf("open: got %v, want success %v, else kind %v", err, test.ok, test.kind)
			}
			if err != nil {
				return
			}
			if got := texts(t, db.writer, "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()"); got[0] != "true" {
				t.Errorf("encrypted: got %s, want true", got[0])
			}
			if err := db.Backup(t.Context(), filepath.Join(t.TempDir(), "copy")); err != nil { // pg_dump is told the same
				t.Error(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// certificate makes one for 127.0.0.1 that is its own authority.
func certificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}
