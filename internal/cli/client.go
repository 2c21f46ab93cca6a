package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
)

// Bounds of one exchange with the server.
const (
	maxAnswer = 64 << 20
	deadline  = 60 * time.Second
	tries     = 3
)

// client asks the API.
type client struct {
	base  string
	token string
	http  *http.Client
}

// client reads the token and prepares for the server.
func (s *session) client() (*client, error) {
	u, err := url.Parse(s.server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, wrong("--server is %q, expected a URL such as http://127.0.0.1:8080", s.server)
	}
	if u.Scheme == "http" && !auth.IsLoopback(u.Hostname()) {
		return nil, wrong("--server is %q: a token must not travel over plain HTTP to another machine; use https", s.server)
	}
	token, err := auth.ReadToken(s.tokenFile)
	if err != nil {
		f := &failure{code: codeOf(err), text: err.Error(), next: "Name the file with --token-file or HOMEOSTAT_TOKEN_FILE. The first start of a server writes one into its data directory."}
		if f.code == ExitNotFound {
			f.code = ExitUsage
		}
		return nil, f
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: deadline,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if s.caFile != "" {
		pem, err := os.ReadFile(s.caFile)
		if err != nil {
			return nil, wrong("--ca-file: %v", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, wrong("--ca-file: %s holds no PEM certificate", s.caFile)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	return &client{
		base: strings.TrimRight(u.String(), "/") + "/api/v1", token: token,
		http: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// get reads path into out.
func (c *client) get(ctx context.Context, path string, query url.Values, out any) error {
	return c.ask(ctx, http.MethodGet, path, query, nil, out)
}

// post sends in, which may be nil, and reads the answer into out.
func (c *client) post(ctx context.Context, path string, in, out any) error {
	return c.ask(ctx, http.MethodPost, path, nil, in, out)
}

// put sends in and reads the answer into out.
func (c *client) put(ctx context.Context, path string, in, out any) error {
	return c.ask(ctx, http.MethodPut, path, nil, in, out)
}

// ask makes one request, again if the server says that it cannot now. Writes
// carry a key, so that a repeated one is carried out once.
func (c *client) ask(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body []byte
	header := http.Header{}
	if method != http.MethodGet {
		header.Set("Idempotency-Key", rand.Text())
	}
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return &failure{code: ExitUsage, text: "the request cannot be written as JSON: " + err.Error()}
		}
		header.Set("Content-Type", "application/json")
	}
	address := c.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	for try := 1; ; try++ {
		again, err := c.once(ctx, method, address, header, body, out)
		if err == nil || again == 0 || try == tries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(again):
		}
	}
}

// once makes one try; again is when another may help, 0 for never.
func (c *client) once(ctx context.Context, method, address string, header http.Header, body []byte, out any) (again time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	resp, err := c.send(ctx, method, address, header, body)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return 0, c.unreachable(err)
	}
	if len(data) > maxAnswer {
		return 0, &failure{code: ExitFailed, text: fmt.Sprintf("the answer of %s is larger than %d bytes", c.base, maxAnswer)}
	}
	if resp.StatusCode/100 != 2 {
		if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
			seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
			again = time.Duration(min(max(seconds, 1), 10)) * time.Second
		}
		return again, c.refused(resp, data)
	}
	if err := json.Unmarshal(data, out); err != nil {
		return 0, &failure{code: ExitFailed, text: "the answer is not what a Homeostat server gives: " + err.Error(), next: "Is --server " + c.base + " right?"}
	}
	return 0, nil
}

func (c *client) send(ctx context.Context, method, address string, header http.Header, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, wrong("%v", err)
	}
	req.Header = header.Clone()
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("User-Agent", "homeostat-cli")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	return resp, nil
}

func (c *client) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return &failure{code: ExitFailed, text: "interrupted"}
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return &failure{
		code: ExitUnreachable, text: fmt.Sprintf("the server at %s cannot be reached: %v", strings.TrimSuffix(c.base, "/api/v1"), err),
		next: `Is it running ("homeostat up"), and is --server right?`,
	}
}

// refused turns a problem document into a failure.
func (c *client) refused(resp *http.Response, data []byte) error {
	var p form.ProblemDetails
	f := &failure{code: ExitFailed, text: "the server answered " + resp.Status}
	if json.Unmarshal(data, &p) == nil && p.Detail != "" {
		f.text = p.Detail
		for _, e := range p.Errors {
			f.text += "\n  " + strings.TrimSpace(e.Location+": "+e.Message)
		}
	}
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		f.code = ExitUsage
	case http.StatusNotFound:
		f.code = ExitNotFound
	case http.StatusUnauthorized:
		f.code, f.next = ExitDenied, "Is --token-file the one this server wrote?"
	case http.StatusForbidden:
		f.code = ExitDenied
	}
	return f
}

// all reads pages until there are limit items; 0 means every one.
func all[T any](ctx context.Context, c *client, path string, query url.Values, limit int) (form.Page[T], error) {
	out := form.Page[T]{Items: []T{}}
	if query == nil {
		query = url.Values{}
	}
	for {
		size := 500
		if limit > 0 {
			size = min(size, limit-len(out.Items))
		}
		query.Set("limit", strconv.Itoa(size))
		var page form.Page[T]
		if err := c.get(ctx, path, query, &page); err != nil {
			return out, err
		}
		out.Items = append(out.Items, page.Items...)
		out.Cursor, out.Revision = page.Cursor, page.Revision
		if page.Cursor == "" || limit > 0 && len(out.Items) >= limit {
			return out, nil
		}
		query.Set("cursor", page.Cursor)
	}
}

// segment makes text one part of a path.
func segment(text string) string { return "/" + url.PathEscape(text) }
