package probe

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
)

// The bounds of one HTTP probe.
const (
	maxRedirects = 3
	maxBody      = 1 << 20
	maxHeaders   = 64 << 10
)

// newHTTPProber asks over a new connection each time: a connection kept open
// would hide that no new one is accepted. c was checked. Proxies of the
// environment are not used: what lies between would be probed instead.
func newHTTPProber(c HTTP) prober {
	client := &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: maxHeaders,
			TLSClientConfig:        &tls.Config{InsecureSkipVerify: c.SkipVerify}, //nolint:gosec // the user's choice, off by default
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if req.Response != nil && slices.Contains(c.Statuses, req.Response.StatusCode) {
				return http.ErrUseLastResponse // the redirect itself is the wanted answer
			}
			if len(via) > maxRedirects {
				return fmt.Errorf("redirects more than %d times", maxRedirects)
			}
			return nil
		},
	}
	var body *regexp.Regexp
	if c.Body != "" {
		body = regexp.MustCompile(c.Body)
	}
	return func(ctx context.Context) error {
		method := c.Method
		if method == "" {
			method = http.MethodGet
		}
		req, err := http.NewRequestWithContext(ctx, method, c.URL, nil)
		if err != nil {
			return err
		}
		for k, v := range c.Header {
			req.Header.Set(k, v)
		}
		if host := req.Header.Get("Host"); host != "" {
			req.Host = host
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if !wanted(c.Statuses, resp.StatusCode) {
			return fmt.Errorf("answered with status %d", resp.StatusCode)
		}
		if body == nil {
			return nil
		}
		text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
		if err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		if !body.Match(text) {
			return fmt.Errorf("body does not match %q", c.Body)
		}
		return nil
	}
}

func wanted(statuses []int, got int) bool {
	if len(statuses) == 0 {
		return got >= 200 && got <= 299
	}
	return slices.Contains(statuses, got)
}
