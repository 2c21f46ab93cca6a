package form

import "time"

// Principal is a person or a machine that may ask for something.
type Principal struct {
	Name    string    `json:"name" example:"alice@example.com"`
	Grants  []Grant   `json:"grants"`
	Tokens  []Token   `json:"tokens"`
	Created time.Time `json:"created"`
	Guest   bool      `json:"guest,omitempty" doc:"Is here by groups of the issuer, as long as their sessions on the page last."`
}

// Grant gives a role within a scope.
type Grant struct {
	Role  string `json:"role" enum:"sender,viewer,approver,operator,admin"`
	Scope string `json:"scope,omitempty" maxLength:"512" doc:"tenant/env/cluster/service, trailing parts may be left out. Default: everything." example:"default/prod"`
}

// Token is one way of proving who one is. Its secret is shown once, when it is
// made.
type Token struct {
	ID      string    `json:"id"`
	Label   string    `json:"label,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero" doc:"Absent: never."`
}

// Principals lists those there are.
type Principals struct {
	Items []Principal `json:"items" doc:"By name."`
}

// Grants is what a principal may do from now on.
type Grants struct {
	Grants []Grant `json:"grants" minItems:"1" maxItems:"100"`
}

// TokenOrder asks for a token.
type TokenOrder struct {
	Label   string    `json:"label,omitempty" maxLength:"200" doc:"What it is for."`
	Expires time.Time `json:"expires,omitzero" doc:"Default: never."`
}

// NewToken is a token with its secret.
type NewToken struct {
	Token
	Secret string `json:"secret" doc:"The only copy. Send it as Authorization: Bearer."`
}

// Gone says what is not there any more.
type Gone struct {
	Removed string `json:"removed"`
}
