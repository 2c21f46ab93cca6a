package web

import (
	"context"
	"io"
	"net/http"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/homeostat/homeostat/internal/heal"
)

// complete adds to the claims of an identity token those that are asked for and
// that it does not have, as the user info endpoint has them: many issuers tell of
// groups, and some of anything but the subject, only there. What the token says
// stays. An issuer without such an endpoint has nothing to add.
func (a *abroad) complete(ctx context.Context, p *oidc.Provider, token *oauth2.Token, subject string, claims map[string]any) error {
	_, named := claims[a.Claim]
	_, grouped := claims[a.Groups]
	grouped = grouped || a.Groups == ""
	if named && grouped || p.UserInfoEndpoint() == "" {
		return nil
	}
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return heal.Errorf(heal.Transient, "", "its user info endpoint did not answer: %.200s", err.Error())
	}
	if info.Subject == "" || info.Subject != subject {
		return heal.Errorf(heal.Denied, "", "its user info endpoint speaks of somebody else than its identity token")
	}
	more := map[string]any{}
	if err := info.Claims(&more); err != nil {
		return heal.Errorf(heal.Transient, "", "what its user info endpoint answers cannot be read: %.200s", err.Error())
	}
	if !named {
		claims[a.Claim] = more[a.Claim]
		claims["email_verified"] = info.EmailVerified // of the address that stands beside it
	}
	if !grouped {
		claims[a.Groups] = more[a.Groups]
	}
	return nil
}

// bounded lets no answer be longer than issuerAnswer.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: issuerAnswer}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int // bytes
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, heal.Errorf(heal.Invalid, "read an answer of the issuer", "it has %d bytes or more, expected fewer", issuerAnswer)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
