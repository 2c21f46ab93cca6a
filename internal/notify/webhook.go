package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// The headers of a delivery.
const (
	// HeaderDelivery holds the id of the message.
	HeaderDelivery = "X-Homeostat-Delivery"
	// HeaderTimestamp holds the Unix time of the try, in seconds.
	HeaderTimestamp = "X-Homeostat-Timestamp"
	// HeaderSignature holds "sha256=" and the hexadecimal HMAC-SHA256, under
	// the shared secret, of the timestamp, a dot and the body.
	HeaderSignature = "X-Homeostat-Signature"
)

// maxText bounds each text of a message, in bytes.
const maxText = 16 << 10

// WebhookOptions configure a webhook.
type WebhookOptions struct {
	Name    string        // for logs and errors; "webhook" if empty
	URL     string        // http or https; never shown, its path may be a secret
	Secret  string        // signs deliveries; empty: none is signed
	Timeout time.Duration // of one try; 10 s if zero
}

// Webhook posts messages as JSON.
type Webhook struct {
	opts   WebhookOptions
	client *http.Client
}

// NewWebhook checks the options.
func NewWebhook(opts WebhookOptions) (*Webhook, error) {
	if opts.Name == "" {
		opts.Name = "webhook"
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 10 * time.Second
	}
	u, err := url.Parse(opts.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, heal.Errorf(heal.Invalid, "webhook "+opts.Name, "its URL is not of the form https://host/path")
	}
	return &Webhook{
		opts: opts,
		client: &http.Client{
			// A redirect is an answer that is not success: the secret was
			// agreed on with one receiver.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport:     &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		},
	}, nil
}

// Name is that of the options.
func (w *Webhook) Name() string { return w.opts.Name }

// Send posts the message once.
func (w *Webhook) Send(ctx context.Context, m Message) error {
	op := "notify " + w.opts.Name
	body, err := json.Marshal(formOf(m))
	if err != nil {
		return heal.Errorf(heal.Invalid, op, "%w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, w.opts.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.opts.URL, bytes.NewReader(body))
	if err != nil {
		return heal.Errorf(heal.Invalid, op, "%w", bare(err))
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "homeostat")
	req.Header.Set(HeaderDelivery, m.ID)
	req.Header.Set(HeaderTimestamp, at)
	if w.opts.Secret != "" {
		req.Header.Set(HeaderSignature, Sign(w.opts.Secret, at, body))
	}
	res, err := w.client.Do(req)
	if err != nil {
		return heal.Errorf(heal.Transient, op, "%w", bare(err))
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 4<<10) // the status says it all
	if kind, bad := judge(res.StatusCode); bad {
		return heal.Errorf(kind, op, "answered %d, expected 2xx", res.StatusCode)
	}
	return nil
}

// Sign gives the value of HeaderSignature.
func Sign(secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func judge(status int) (heal.Kind, bool) {
	switch {
	case status >= 200 && status <= 299:
		return 0, false
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return heal.Denied, true
	case status == http.StatusNotFound, status == http.StatusGone:
		return heal.NotFound, true
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500:
		return heal.Transient, true
	}
	return heal.Invalid, true
}

// bare takes the URL out of an error.
func bare(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// form is what a webhook receives.
type form struct {
	Version    int             `json:"version"`
	ID         string          `json:"id"`
	Phase      Phase           `json:"phase"`
	Severity   heal.Severity   `json:"severity"`
	Title      string          `json:"title,omitempty"`
	Text       string          `json:"text"`
	At         time.Time       `json:"at"`
	IncidentID heal.IncidentID `json:"incident_id,omitempty"`
	RunID      heal.RunID      `json:"run_id,omitempty"`
	Entity     heal.EntityID   `json:"entity,omitempty"`
	Reasons    []heal.Reason   `json:"reasons,omitempty"`
	Link       string          `json:"link,omitempty"`
}

func formOf(m Message) form {
	return form{
		Version: 1, ID: m.ID, Phase: m.Phase, Severity: m.Severity, Title: bound(m.Title), Text: bound(m.Text),
		At: m.At.UTC(), IncidentID: m.IncidentID, RunID: m.RunID, Entity: m.Entity, Reasons: m.Reasons, Link: m.Link,
	}
}

func bound(text string) string {
	if len(text) > maxText {
		text = text[:maxText] + "..."
	}
	return strings.ToValidUTF8(text, "�")
}
