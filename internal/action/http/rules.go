package http

import (
	"net"
	"net/url"
	"path"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

// rules say where requests may go. Without any, only to this machine.
type rules []rule

type rule struct{ scheme, host, path string }

func parseRules(allow []string) (rules, error) {
	var out rules
	for i, text := range allow {
		u, err := parseURL(text)
		if err != nil {
			return nil, heal.Errorf(heal.Invalid, "allowed URLs", "entry %d: %w", i+1, err)
		}
		if u.RawQuery != "" {
			return nil, heal.Errorf(heal.Invalid, "allowed URLs", "entry %d has a query, expected a host and a path at most", i+1)
		}
		out = append(out, rule{scheme: u.Scheme, host: hostPort(u), path: strings.TrimSuffix(u.Path, "/")})
	}
	return out, nil
}

func (r rules) loopbackOnly() bool { return len(r) == 0 }

// check is of kind Denied where a request may not go.
func (r rules) check(u *url.URL) error {
	if r.loopbackOnly() {
		name := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
		if ip := net.ParseIP(name); name == "localhost" || ip != nil && ip.IsLoopback() {
			return nil
		}
		return heal.Errorf(heal.Denied, "", "requests to %s are not allowed: only to loopback addresses as long as the configuration allows no URLs", u.Host)
	}
	// A path that a server could read in another way is not matched at all.
	clean := path.Clean("/" + u.Path)
	plain := strings.TrimSuffix(u.Path, "/") == strings.TrimSuffix(clean, "/") && !strings.ContainsAny(u.Path, "\\%;") && !hidesSlash(u)
	for _, allowed := range r {
		if allowed.scheme != u.Scheme || allowed.host != hostPort(u) {
			continue
		}
		if allowed.path == "" || plain && (clean == allowed.path || strings.HasPrefix(clean, allowed.path+"/")) {
			return nil
		}
	}
	return heal.Errorf(heal.Denied, "", "requests to %s://%s%s are not among those the configuration allows", u.Scheme, u.Host, u.EscapedPath())
}

// hidesSlash reports an escaped slash or dot in the path, "%2e%2e%2f".
func hidesSlash(u *url.URL) bool {
	escaped := strings.ToLower(u.EscapedPath())
	return strings.Contains(escaped, "%2f") || strings.Contains(escaped, "%2e")
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
