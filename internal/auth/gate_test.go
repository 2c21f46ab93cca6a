package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
)

// one is an Authenticator that knows one token.
type one struct{ broken bool }

func (o one) Authenticate(_ context.Context, token string) (auth.Principal, error) {
	switch {
	case o.broken:
		return auth.Principal{}, errors.New("the disk is full")
	case token == "good":
		return auth.Principal{Name: "alice"}, nil
	}
	return auth.Principal{}, heal.Errorf(heal.Denied, "authenticate", "no")
}

func TestGate(t *testing.T) {
	who := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := auth.From(r.Context())
		_, _ = w.Write([]byte("hello " + p.Name))
	})
	tests := []struct {
		name, path, header string
		broken             bool
		status             int
		want               string
	}{
		{"good token", "/api", "Bearer good", false, 200, "hello alice"},
		{"scheme in lower case", "/api", "bearer good", false, 200, "hello alice"},
		{"no token", "/api", "", false, 401, "Authorization: Bearer"},
		{"empty token", "/api", "Bearer ", false, 401, "Authorization: Bearer"},
		{"another scheme", "/api", "Basic good", false, 401, "Authorization: Bearer"},
		{"bad token", "/api", "Bearer bad", false, 401, "revoked"},
		{"store down", "/api", "Bearer good", true, 503, "try again"},
		{"open", "/healthz", "", false, 200, "hello "},
		{"open while the store is down", "/healthz", "", true, 200, "hello "},
		{"below an open path", "/healthz/x", "", false, 401, "send a token"},
		{"below an open folder", "/hooks/grafana", "", false, 200, "hello "},
		{"out of an open folder", "/hooks/../api", "", false, 401, "send a token"},
		{"beside an open folder", "/hooksapi", "", false, 401, "send a token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := auth.Gate(one{tt.broken}, who, auth.GateOptions{Open: []string{"/healthz"}, OpenBelow: []string{"/hooks/"}})
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.URL.Path = tt.path
			if tt.header != "" {
				r.Header.Set("Authorization", tt.header)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
				t.Errorf("got %d %s, want %d that says %q", w.Code, w.Body, tt.status, tt.want)
			}
			if got := w.Header().Get("WWW-Authenticate"); (got != "") != (tt.status == 401) {
				t.Errorf("got WWW-Authenticate %q with status %d", got, w.Code)
			}
			if strings.Contains(w.Body.String(), "disk") {
				t.Errorf("the answer tells strangers about our insides: %s", w.Body)
			}
		})
	}
}

func TestWebhookSecrets(t *testing.T) {
	const secret = "0123456789abcdef"
	// From: printf body | openssl dgst -sha256 -hmac 0123456789abcdef
	const signed = "sha256=c34c3195f4d0282ae2dee7ddba19f07877594896ece7578eed7044843650c708"
	if got := auth.Sign(secret, []byte("body")); got != signed {
		t.Errorf("Sign: got %s, want %s", got, signed)
	}
	tests := []struct {
		name string
		err  error
		want heal.Kind
		fine bool
	}{
		{"signature", auth.CheckSignature(secret, []byte("body"), signed), 0, true},
		{"signature without its prefix", auth.CheckSignature(secret, []byte("body"), strings.TrimPrefix(signed, "sha256=")), 0, true},
		{"signature of another body", auth.CheckSignature(secret, []byte("bodY"), signed), heal.Denied, false},
		{"signature by another secret", auth.CheckSignature(secret+"x", []byte("body"), signed), heal.Denied, false},
		{"no signature", auth.CheckSignature(secret, []byte("body"), ""), heal.Denied, false},
		{"signature not in hex", auth.CheckSignature(secret, []byte("body"), "sha256=zz"), heal.Denied, false},
		{"half a signature", auth.CheckSignature(secret, []byte("body"), signed[:20]), heal.Denied, false},
		{"no secret configured", auth.CheckSignature("", []byte("body"), auth.Sign("", []byte("body"))), heal.Invalid, false},
		{"shared secret", auth.CheckSecret(secret, secret), 0, true},
		{"wrong shared secret", auth.CheckSecret(secret, "0123456789abcdeg"), heal.Denied, false},
		{"no shared secret", auth.CheckSecret(secret, ""), heal.Denied, false},
		{"empty shared secret configured", auth.CheckSecret("", ""), heal.Invalid, false},
		{"short secret", auth.ValidSecret("short"), heal.Invalid, false},
	}
	for _, tt := range tests {
		if tt.fine && tt.err != nil || !tt.fine && !heal.Is(tt.err, tt.want) {
			t.Errorf("%s: got %v, want kind %s", tt.name, tt.err, tt.want)
		}
	}
}

func TestCheckListen(t *testing.T) {
	tests := []struct {
		address   string
		tls, auth bool
		want      string // part of the refusal; "" if allowed
	}{
		{"127.0.0.1:8080", false, false, ""},
		{"127.9.9.9:8080", false, false, ""},
		{"localhost:0", false, false, ""},
		{"[::1]:8080", false, false, ""},
		{"[::ffff:127.0.0.1]:8080", false, false, ""},
		{"0.0.0.0:8080", true, true, ""},
		{"0.0.0.0:8080", false, false, "needs TLS and authentication;"},
		{"0.0.0.0:8080", true, false, "needs authentication;"},
		{"0.0.0.0:8080", false, true, "needs TLS;"},
		{":8080", false, true, "needs TLS;"},
		{"[::]:8080", false, true, "needs TLS;"},
		{"10.0.0.1:8080", false, false, "127.0.0.1"},
		{"localhost.example.com:8080", false, false, "needs TLS"},
		{"127.0.0.1", false, false, "host:port"},
		{"127.0.0.1:http", false, false, "0 to 65535"},
		{"127.0.0.1:65536", false, false, "0 to 65535"},
		{"", true, true, "host:port"},
	}
	for _, tt := range tests {
		err := auth.CheckListen(tt.address, tt.tls, tt.auth)
		if tt.want == "" && err != nil {
			t.Errorf("%q: got %v, want no error", tt.address, err)
		}
		if tt.want != "" && (!heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%q: got %v, want kind invalid that says %q", tt.address, err, tt.want)
		}
	}
}
