package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

// minSecret is the least length of a webhook secret, in bytes: 128 bits if they
// are random.
const minSecret = 16

// ValidSecret refuses webhook secrets that could be guessed.
func ValidSecret(secret string) error {
	if len(secret) < minSecret {
		return heal.Errorf(heal.Invalid, "webhook secret", "is %d bytes long, at least %d random ones are needed", len(secret), minSecret)
	}
	return nil
}

// Sign gives the signature of a body: "sha256=" and the HMAC-SHA256 in hex, the
// form of GitHub's X-Hub-Signature-256 and of many others.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// CheckSignature is nil if the signature is that of the body, with or without
// the "sha256=" before it; else kind Denied.
func CheckSignature(secret string, body []byte, signature string) error {
	const op = "check signature"
	if err := ValidSecret(secret); err != nil {
		return err
	}
	signature = strings.TrimSpace(signature)
	if signature == "" {
		return heal.Errorf(heal.Denied, op, "the request carries none")
	}
	got, err := hex.DecodeString(strings.TrimPrefix(signature, "sha256="))
	if err != nil {
		return heal.Errorf(heal.Denied, op, "it is not sha256= and hex digits")
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	if !hmac.Equal(got, mac.Sum(nil)) {
		return heal.Errorf(heal.Denied, op, "it does not belong to this body and our secret")
	}
	return nil
}

// CheckSecret is nil if got is the shared secret; else kind Denied. The time it
// takes does not tell how much of it was right, nor its length.
func CheckSecret(secret, got string) error {
	if err := ValidSecret(secret); err != nil {
		return err
	}
	want, have := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(got))
	if subtle.ConstantTimeCompare(want[:], have[:]) != 1 {
		return heal.Errorf(heal.Denied, "check webhook secret", "it is not the configured one")
	}
	return nil
}
