package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/heal"
)

// door asks the API as any client does, without a network between.
type door struct{ api http.Handler }

// prefix is before every path of the API.
const prefix = "/api/v1"

// maxAnswer is the longest answer taken, in bytes.
const maxAnswer = 64 << 20

// refusal is what the API answered instead, for a person.
type refusal struct {
	Status int
	Detail string
	More   []string
}

func (r *refusal) Error() string { return r.Detail }

// ask sends body, if there is one, and reads the answer into out, if it is not
// nil. What the API refuses is a *refusal.
func (d door) ask(ctx context.Context, token, method, path string, body, out any, header ...string) error {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return heal.Errorf(heal.Internal, "ask "+path, "%w", err)
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, prefix+path, bytes.NewReader(data))
	if err != nil {
		return heal.Errorf(heal.Internal, "ask "+path, "%w", err)
	}
	r.RemoteAddr = "page"
	r.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	w := &kept{header: http.Header{}}
	d.api.ServeHTTP(w, r)
	if w.status >= http.StatusBadRequest {
		return refusalOf(w.status, w.body.Bytes())
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(w.body.Bytes(), out); err != nil {
		return heal.Errorf(heal.Internal, "read the answer of "+path, "%w", err)
	}
	return nil
}

func refusalOf(status int, body []byte) *refusal {
	out := &refusal{Status: status, Detail: http.StatusText(status)}
	var p form.ProblemDetails
	if json.Unmarshal(body, &p) == nil && p.Detail != "" {
		out.Detail = p.Detail
		for _, e := range p.Errors {
			out.More = append(out.More, fmt.Sprintf("%s: %s", e.Location, e.Message))
		}
	}
	return out
}

// kept is an answer in memory.
type kept struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *kept) Header() http.Header { return k.header }

func (k *kept) WriteHeader(status int) {
	if k.status == 0 {
		k.status = status
	}
}

func (k *kept) Write(p []byte) (int, error) {
	k.WriteHeader(http.StatusOK)
	if k.body.Len()+len(p) > maxAnswer {
		return 0, heal.Errorf(heal.Internal, "keep an answer", "it has more than %d bytes", maxAnswer)
	}
	return k.body.Write(p)
}

// query makes "?a=b" of pairs, leaving out the empty ones.
func query(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}
