package web

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// KeyBytes is the length of the key that seals sessions.
const KeyBytes = 32

// session is who is signed in: nothing but their token, until a time. It lies
// sealed in the browser, so that a restart signs nobody out; revoking the token
// ends it at once.
type session struct {
	ID    string    `json:"i"`
	Token string    `json:"t"`
	Lent  bool      `json:"l,omitempty"` // the token was made for this session and ends with it
	Until time.Time `json:"u"`
}

// seal makes cookies that nobody else can read or make.
type seal struct {
	aead    cipher.AEAD
	csrf    []byte
	entropy io.Reader
}

func newSeal(key []byte, entropy io.Reader) (*seal, error) {
	if len(key) != KeyBytes {
		return nil, heal.Errorf(heal.Invalid, "session key", "it has %d bytes, expected %d random ones", len(key), KeyBytes)
	}
	block, err := aes.NewCipher(derive(key, "cookie"))
	if err != nil {
		return nil, heal.Errorf(heal.Internal, "session key", "%w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, heal.Errorf(heal.Internal, "session key", "%w", err)
	}
	return &seal{aead: aead, csrf: derive(key, "csrf"), entropy: entropy}, nil
}

// derive makes a key for one purpose.
func derive(key []byte, purpose string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("homeostat page " + purpose))
	return mac.Sum(nil)
}

// random is a text nobody can guess.
func (s *seal) random() (string, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(s.entropy, b); err != nil {
		return "", heal.Errorf(heal.Internal, "read randomness", "%w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// put seals a value for one purpose.
func (s *seal) put(purpose string, what any) (string, error) {
	plain, err := json.Marshal(what)
	if err != nil {
		return "", heal.Errorf(heal.Internal, "seal a "+purpose, "%w", err)
	}
	nonce := make([]byte, s.aead.NonceSize())
	if _, err := io.ReadFull(s.entropy, nonce); err != nil {
		return "", heal.Errorf(heal.Internal, "seal a "+purpose, "read randomness: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nonce, nonce, plain, []byte(purpose))), nil
}

// take opens what was put for the purpose; false if it is not one of ours.
func (s *seal) take(purpose, text string, into any) bool {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	n := s.aead.NonceSize()
	if err != nil || len(sealed) < n {
		return false
	}
	plain, err := s.aead.Open(nil, sealed[:n], sealed[n:], []byte(purpose))
	return err == nil && json.Unmarshal(plain, into) == nil
}

// open gives the session of a cookie; false if it is not one of ours or over.
func (s *seal) open(text string, now time.Time) (session, bool) {
	var out session
	if !s.take("session", text, &out) || !now.Before(out.Until) {
		return session{}, false
	}
	return out, true
}

// csrfOf is what a form of this session must carry.
func (s *seal) csrfOf(id string) string {
	mac := hmac.New(sha256.New, s.csrf)
	mac.Write([]byte(id))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (s *seal) csrfOK(id, given string) bool {
	return hmac.Equal([]byte(s.csrfOf(id)), []byte(given))
}

// cookieName says what the cookie is bound to: with TLS, browsers refuse one of
// this name that was set for other hosts or without TLS.
func (s *site) cookieName() string {
	if s.Secure {
		return "__Host-homeostat"
	}
	return "homeostat"
}

func (s *site) cookie(value string, until time.Time) *http.Cookie {
	c := &http.Cookie{Name: s.cookieName(), Value: value, Path: "/", HttpOnly: true, Secure: s.Secure, SameSite: http.SameSiteStrictMode, Expires: until}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// sessionOf gives the session of a request.
func (s *site) sessionOf(r *http.Request) (session, bool) {
	c, err := r.Cookie(s.cookieName())
	if err != nil {
		return session{}, false
	}
	return s.seal.open(c.Value, s.Clock())
}
