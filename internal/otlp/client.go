package otlp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/homeostat/homeostat/internal/heal"
)

// ClientOptions say where a Client sends; a zero field takes its default.
type ClientOptions struct {
	Endpoint    string            // host:port for gRPC, a URL without path for HTTP
	HTTP        bool              // HTTP with protobuf, else gRPC
	Compression string            // gzip or zstd; empty: none
	Headers     map[string]string // sent with each request, lower case
	TLS         *tls.Config       // of gRPC, and of HTTP if the endpoint is https; nil: plain text, or the system's roots
	Connections int               // 1: gRPC connections, used in turn; the most idle ones of HTTP
}

// Client sends requests as bytes. It is safe for concurrent use.
type Client struct {
	opts  ClientOptions
	conns []*grpc.ClientConn
	turn  atomic.Uint64
	http  *http.Client
	zstd  zstdEncoders
}

// Later is the error of a receiver that says when to come again.
type Later struct {
	After time.Duration
	Err   error
}

func (e *Later) Error() string { return e.Err.Error() }

// Unwrap gives the error itself.
func (e *Later) Unwrap() error { return e.Err }

// The keep-alive of connections that go out.
const (
	pingEvery    = 30 * time.Second
	pingTimeout  = 10 * time.Second
	maxAnswer    = 1 << 20 // bytes
	maxRetryWait = 5 * time.Minute
)

// NewClient makes a Client; it connects when it has something to send.
func NewClient(o ClientOptions) (*Client, error) {
	const op = "make OTLP client"
	registerZstd()
	o.Connections = max(o.Connections, 1)
	c := &Client{opts: o}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: pingEvery}
	if o.HTTP {
		if !strings.HasPrefix(o.Endpoint, "http://") && !strings.HasPrefix(o.Endpoint, "https://") {
			return nil, heal.Errorf(heal.Invalid, op, "endpoint %q: expected a URL that begins with http:// or https://", o.Endpoint)
		}
		c.http = &http.Client{Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: o.TLS, MaxIdleConnsPerHost: o.Connections, IdleConnTimeout: 90 * time.Second,
			TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
		}}
		return c, nil
	}
	creds := insecure.NewCredentials()
	if o.TLS != nil {
		creds = credentials.NewTLS(o.TLS)
	}
	for range o.Connections {
		conn, err := grpc.NewClient(
			o.Endpoint,
			grpc.WithTransportCredentials(creds),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(maxAnswer)),
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingEvery, Timeout: pingTimeout}),
			grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", addr) }),
			// A backend that comes back must be found soon: grpc-go would wait up to two minutes.
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
				MinConnectTimeout: 10 * time.Second,
			}),
			grpc.WithDisableServiceConfig(),
			grpc.WithDisableRetry(), // who calls knows when to try again
		)
		if err != nil {
			return nil, errors.Join(heal.Errorf(heal.Invalid, op, "endpoint %q: %w", o.Endpoint, err), c.Close())
		}
		c.conns = append(c.conns, conn)
	}
	return c, nil
}

// Close ends the connections.
func (c *Client) Close() error {
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
	var errs []error
	for _, conn := range c.conns {
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}

// Export sends one request. rejected is how many of its items the receiver says
// it refused for good; reason is its word on that.
//
// Errors: Transient and Unknown ask for another try, the latter if the receiver
// may have taken it; a *Later says when. Denied means that the receiver refuses
// us, Invalid that it refuses this request for good.
func (c *Client) Export(ctx context.Context, sig Signal, request []byte) (rejected int, reason string, err error) {
	var answer []byte
	if c.http != nil {
		answer, err = c.exportHTTP(ctx, sig, request)
	} else {
		answer, err = c.exportGRPC(ctx, sig, request)
	}
	if err != nil {
		return 0, "", err
	}
	rejected, reason = partialSuccess(answer)
	return rejected, reason, nil
}

func (c *Client) exportGRPC(ctx context.Context, sig Signal, request []byte) ([]byte, error) {
	var opts []grpc.CallOption
	if c.opts.Compression != "" {
		opts = append(opts, grpc.UseCompressor(c.opts.Compression))
	}
	for name, value := range c.opts.Headers {
		ctx = metadata.AppendToOutgoingContext(ctx, name, value)
	}
	conn := c.conns[c.turn.Add(1)%uint64(len(c.conns))]
	var answer raw
	err := conn.Invoke(ctx, "/"+services[sig]+"/Export", &raw{bytes: request}, &answer, opts...)
	if err != nil {
		return nil, c.fromStatus(sig, err)
	}
	return answer.bytes, nil
}

// fromStatus says what a gRPC error asks of us, by the table of the OTLP
// specification.
func (c *Client) fromStatus(sig Signal, err error) error {
	st := status.Convert(err)
	kind := heal.Invalid
	var after time.Duration
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			after = max(info.GetRetryDelay().AsDuration(), time.Millisecond)
		}
	}
	switch st.Code() {
	case codes.Unavailable, codes.Aborted, codes.OutOfRange, codes.DataLoss:
		kind = heal.Transient
	case codes.Canceled, codes.DeadlineExceeded:
		kind = heal.Unknown
	case codes.ResourceExhausted:
		if after > 0 { // else the message is too large, now and later
			kind = heal.Transient
		}
	case codes.Unauthenticated, codes.PermissionDenied:
		kind = heal.Denied
	case codes.OK, codes.Unknown, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.FailedPrecondition, codes.Unimplemented, codes.Internal:
	}
	return later(kind, c.op(sig), after, err)
}

func (c *Client) op(sig Signal) string { return "export " + sig.String() + " to " + c.opts.Endpoint }

func later(kind heal.Kind, op string, after time.Duration, err error) error {
	err = heal.Errorf(kind, op, "%w", err)
	if after > 0 && (kind == heal.Transient || kind == heal.Unknown) {
		return &Later{After: min(after, maxRetryWait), Err: err}
	}
	return err
}

func (c *Client) exportHTTP(ctx context.Context, sig Signal, request []byte) ([]byte, error) {
	op := c.op(sig)
	body := request
	var err error
	switch c.opts.Compression {
	case "gzip":
		body, err = gzipped(request)
	case "zstd":
		body, err = c.zstd.encode(request)
	}
	if err != nil {
		return nil, heal.Errorf(heal.Internal, op, "compress: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.opts.Endpoint, "/")+"/v1/"+sig.String(), bytes.NewReader(body))
	if err != nil {
		return nil, heal.Errorf(heal.Invalid, op, "%w", err)
	}
	req.Header.Set("Content-Type", protobuf.contentType())
	if c.opts.Compression != "" {
		req.Header.Set("Content-Encoding", c.opts.Compression)
	}
	for name, value := range c.opts.Headers {
		req.Header.Set(name, value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		kind := heal.Transient
		if ctx.Err() != nil {
			kind = heal.Unknown
		}
		return nil, heal.Errorf(kind, op, "%w", err)
	}
	defer func() { _ = resp.Body.Close() }() // was read as far as it matters
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode/100 == 2 {
		if err != nil {
			return nil, heal.Errorf(heal.Unknown, op, "read the answer: %w", err)
		}
		return answer, nil
	}
	kind := heal.Invalid
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable:
		kind = heal.Transient
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		kind = heal.Unknown
	case http.StatusUnauthorized, http.StatusForbidden:
		kind = heal.Denied
	}
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	return nil, later(kind, op, time.Duration(seconds)*time.Second, fmt.Errorf("the receiver answered %s: %s", resp.Status, errorText(answer)))
}

// errorText is what an error answer says, at most a line's worth.
func errorText(answer []byte) string {
	text := string(answer)
	if st := new(statusProto); proto.Unmarshal(answer, st) == nil && st.GetMessage() != "" {
		text = st.GetMessage()
	}
	return strings.ToValidUTF8(text[:min(len(text), 300)], "\uFFFD")
}
