package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/web"
)

// page puts the page before the API.
func (s *Server) page(door http.Handler) (http.Handler, error) {
	key, err := sessionKey(&s.cfg)
	if err != nil {
		return nil, heal.Wrap("page.key_file", err)
	}
	issuer, err := s.issuer()
	if err != nil {
		return nil, heal.Wrap("page.oidc", err)
	}
	return web.New(web.Options{
		Door: door, Key: key, Issuer: issuer, Secure: s.cfg.Server.TLS.CertFile != "" || s.cfg.Page.TLS, Session: s.cfg.Page.Session.Std(), Logger: s.log,
	})
}

// issuer is who signs people in elsewhere; nil if nobody is configured. What
// they get is a token that ends with the session.
func (s *Server) issuer() (*web.Issuer, error) {
	c := s.cfg.Page.OIDC
	if c.Issuer == "" {
		return nil, nil
	}
	secret := ""
	if c.ClientSecret != "" {
		var err error
		if secret, err = readSecret(c.ClientSecret); err != nil {
			return nil, err
		}
	}
	stand := map[string]auth.Role{}
	for group, role := range c.Groups {
		stand[group] = auth.Role(role)
	}
	groups := ""
	if len(stand) > 0 {
		groups = cmp.Or(c.GroupsClaim, "groups")
	}
	return &web.Issuer{
		URL: c.Issuer, ClientID: c.ClientID, ClientSecret: secret, Page: c.PageURL, Name: c.Name, Claim: c.Claim, Groups: groups,
		Enter: func(ctx context.Context, who web.Person, until time.Time) (string, error) {
			return s.accounts.Visit(ctx, who.Name, auth.RolesOf(who.Groups, stand), until)
		},
		Leave: s.accounts.Leave,
	}, nil
}

// sessionKey reads the key that seals sessions. The one of the data folder is
// made at the first start, so that a restart signs nobody out.
func sessionKey(c *Config) ([]byte, error) {
	path := c.Page.KeyFile
	if path == "" {
		path = filepath.Join(c.DataDir, "session.key")
		err := makeKey(path)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, heal.Errorf(heal.Invalid, "make "+path, "%w", err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, heal.Errorf(heal.Invalid, "read the session key", "%w", err)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 || info.Size() != web.KeyBytes {
		return nil, heal.Errorf(heal.Invalid, "read "+path, "mode %#o and %d bytes, expected a file of %d random bytes that only its owner can read", info.Mode().Perm(), info.Size(), web.KeyBytes)
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, heal.Errorf(heal.Invalid, "read the session key", "%w", err)
	}
	return key, nil
}

// makeKey writes a new key whole or not at all; one that is there is left alone.
func makeKey(path string) (err error) {
	if _, err := os.Stat(path); err == nil {
		return fs.ErrExist
	}
	key := make([]byte, web.KeyBytes)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".session-*") // mode 0600 from the start
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.Write(key)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path) // unlike a rename, it never replaces what is there
}
