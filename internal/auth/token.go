package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"io"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// A token is "hst_" + name + "." + 32 random bytes in unpadded base64url. The
// prefix lets scanners for leaked secrets find it; the name leads to the
// principal without an index over secrets.
const (
	tokenPrefix = "hst_"
	secretBytes = 32
	maxToken    = 256
)

// Token is what is kept of a token.
type Token struct {
	ID      string    `json:"id"`   // for people and revocation; says nothing about the secret
	Hash    string    `json:"hash"` // SHA-256 of the whole token, in hex
	Label   string    `json:"label,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
}

func (t Token) expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

func makeToken(name string, entropy io.Reader) (string, error) {
	secret := make([]byte, secretBytes)
	if _, err := io.ReadFull(entropy, secret); err != nil {
		return "", heal.Errorf(heal.Internal, "make token", "read randomness: %w", err)
	}
	return tokenPrefix + name + "." + base64.RawURLEncoding.EncodeToString(secret), nil
}

func keep(token, label string, now, expires time.Time, entropy io.Reader) Token {
	return Token{ID: heal.NewID(now, entropy), Hash: hash(token), Label: label, Created: now, Expires: expires}
}

// nameOf gives the name within a token; false if it is not of our form.
func nameOf(token string) (string, bool) {
	rest, ok := strings.CutPrefix(token, tokenPrefix)
	dot := strings.LastIndexByte(rest, '.')
	if !ok || dot < 0 || len(token) > maxToken {
		return "", false
	}
	name, secret := rest[:dot], rest[dot+1:]
	if len(secret) != base64.RawURLEncoding.EncodedLen(secretBytes) || validName(name) != nil {
		return "", false
	}
	return name, true
}

func hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// match finds the token among those kept. It compares with all of them in
// constant time, so that time tells nothing about which was near.
func match(kept []Token, token string) (found Token, ok bool) {
	got := []byte(hash(token))
	for _, t := range kept {
		if subtle.ConstantTimeCompare(got, []byte(t.Hash)) == 1 {
			found, ok = t, true
		}
	}
	return found, ok
}

func validName(name string) error {
	const op = "principal name"
	if name == "" || len(name) > 64 {
		return heal.Errorf(heal.Invalid, op, "is %d bytes long, expected 1 to 64", len(name))
	}
	for _, c := range name {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.ContainsRune("@._-", c):
		default:
			return heal.Errorf(heal.Invalid, op, "%q has %q; expected lower-case letters, digits and @ . _ -", name, c)
		}
	}
	return nil
}
