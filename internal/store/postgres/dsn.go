package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/homeostat/homeostat/internal/heal"
)

// DSN says which database and how to reach it, as a URL
// (postgres://user@host:5432/name?sslmode=verify-full) or as key=value pairs.
// It may hold a password and prints as a mask.
type DSN string

const masked = "postgres://(not shown)"

func (DSN) String() string { return masked }

// GoString keeps %#v from showing it.
func (DSN) GoString() string { return masked }

// LogValue keeps logs from showing it.
func (DSN) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalText keeps encoders from showing it.
func (DSN) MarshalText() ([]byte, error) { return []byte(masked), nil }

// parse reads the DSN. Its errors never quote it: where it cannot be read, it
// cannot be said which part of it is the password.
func (d DSN) parse() (*pgconn.Config, error) {
	if d == "" {
		return nil, errors.New("no DSN given, expected for example postgres://homeostat@db.example.net:5432/homeostat?sslmode=verify-full")
	}
	config, err := pgconn.ParseConfig(string(d))
	if err == nil {
		return config, nil
	}
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, fmt.Errorf("the DSN names a file that cannot be read: %w", file)
	}
	return nil, errors.New("the DSN cannot be read, expected postgres://user@host:port/database?sslmode=verify-full or key=value pairs, and certificates that belong together; it is not shown because it may hold a password")
}

// describe names the database for people, without the user and the password.
func describe(c *pgconn.Config) string {
	if strings.HasPrefix(c.Host, "/") {
		return fmt.Sprintf("database %s at %s/.s.PGSQL.%d", c.Database, c.Host, c.Port)
	}
	return fmt.Sprintf("database %s at %s", c.Database, net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))))
}

// settings are the parameters of a connection. Those that the invariant hangs
// on are set whatever the DSN says, the others unless it says otherwise.
func settings(c *pgconn.Config, o Options, idle time.Duration) *pgconn.Config {
	c = c.Copy()
	set := func(name, value string) { c.RuntimeParams[name] = cmp.Or(c.RuntimeParams[name], value) }
	set("application_name", "homeostat")
	set("statement_timeout", milliseconds(o.Statement))
	set("lock_timeout", milliseconds(o.Lock))
	set("idle_in_transaction_session_timeout", milliseconds(idle))
	// Statements have the shape of an index; planning each anew costs more than
	// running it, and compiling one costs a hundred times as much. A plan made
	// while a queue was empty must not read all of it when it is full, and a
	// bitmap would have to be sorted for a page.
	set("plan_cache_mode", "force_generic_plan")
	set("jit", "off")
	set("enable_seqscan", "off")
	set("enable_bitmapscan", "off")
	c.RuntimeParams["synchronous_commit"] = strongest(c.RuntimeParams["synchronous_commit"])
	c.RuntimeParams["client_encoding"] = "UTF8"
	c.RuntimeParams["DateStyle"] = "ISO"
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 5*time.Second)
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}
	c.DialFunc = dialer.DialContext
	c.MaxProtocolMessageBodyLen = maxMessage
	// A standby takes no writes, and what was written may not be there yet.
	c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	return c
}

// strongest keeps what asks for more than the disk of the primary, and makes
// everything else "on".
func strongest(asked string) string {
	if asked == "remote_apply" {
		return asked
	}
	return "on"
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// libpqSettings gives the settings of the DSN that tools of PostgreSQL read
// from the environment and that pgconn does not keep in a form for them.
func (d DSN) libpqSettings() (map[string]string, error) {
	all := map[string]string{}
	if text := string(d); strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://") {
		_, query, _ := strings.Cut(text, "?")
		for pair := range strings.SplitSeq(query, "&") {
			name, value, _ := strings.Cut(pair, "=")
			value, err := url.PathUnescape(value) // a plus is a plus
			if err != nil {
				return nil, heal.Errorf(heal.Invalid, "", "the value of %s in the DSN is not encoded as in a URL", name)
			}
			all[name] = value
		}
		return all, nil
	}
	rest := string(d)
	for {
		name, after, ok := strings.Cut(strings.TrimLeft(rest, " \t\n"), "=")
		if !ok {
			return all, nil
		}
		var value string
		value, rest = cutValue(strings.TrimLeft(after, " \t\n"))
		all[strings.TrimSpace(name)] = value
	}
}

// cutValue takes one value, quoted or not, off key=value pairs.
func cutValue(s string) (value, rest string) {
	quoted := strings.HasPrefix(s, "'")
	s = strings.TrimPrefix(s, "'")
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case quoted && c == '\'':
			return b.String(), s[i+1:]
		case !quoted && (c == ' ' || c == '\t' || c == '\n'):
			return b.String(), s[i:]
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}
