package unary

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

func TestCallsAreAnswered(t *testing.T) {
	for _, prompt := range []bool{false, true} {
		o := options()
		o.Prompt = func(int) bool { return prompt }
		_, l := serve(t, o)
		p := connect(t, l)
		p.ask(1, "one")
		p.want(answered("one")...)
		p.ask(3, "")
		p.want(answered("")...)

		p.head(5, false) // in pieces, with padding and trailers
		for _, b := range message("in pieces") {
			p.ok(p.framer.WriteDataPadded(5, false, []byte{b}, make([]byte, 3)))
		}
		p.ok(p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: appendField(nil, "x", "y"), EndHeaders: true, EndStream: true}))
		p.want(answered("in pieces")...)

		p.head(7, false, "x-long", strings.Repeat("a", 1000)) // fields in two frames
		block := bytes.Clone(p.block)
		p.ok(p.framer.WriteRSTStream(7, http2.ErrCodeCancel))
		p.ok(p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 9, BlockFragment: block[:500]}))
		p.ok(p.framer.WriteContinuation(9, true, block[500:]))
		p.ok(p.framer.WriteData(9, true, message("two frames")))
		p.want(answered("two frames")...)
	}
}

func TestLargeMessagesGetPermission(t *testing.T) {
	_, l := serve(t, options())
	p := connect(t, l, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	p.ok(p.framer.WriteWindowUpdate(0, 1<<30))
	text := strings.Repeat("x", 3<<20)
	rest := message(text)
	p.head(1, false)
	for room := streamWindow; len(rest) > 0; {
		n := min(len(rest), maxFrame, room)
		if n == 0 {
			if _, err := fmt.Sscanf(<-p.frames, "window %d", &room); err != nil {
				t.Fatal(err)
			}
			continue
		}
		p.ok(p.framer.WriteData(1, n == len(rest), rest[:n]))
		rest, room = rest[n:], room-n
	}
	var got strings.Builder
	for f := range p.frames {
		if data, ok := strings.CutPrefix(f, "data "); ok {
			got.WriteString(data)
		}
		if f == "headers grpc-status=0" {
			break
		}
	}
	if got.String() != string(message(text)) {
		t.Errorf("got %d bytes back, want the %d that were sent", got.Len(), len(text)+5)
	}
}

func TestAnswersWaitForPermission(t *testing.T) {
	_, l := serve(t, options())
	p := connect(t, l, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
	p.ask(1, "one")
	p.ask(3, "two")
	p.ask(5, "three") // whose peer gives up waiting
	for range 3 {
		p.want("headers :status=200")
	}
	p.ok(p.framer.WriteRSTStream(5, http2.ErrCodeCancel))
	p.ok(p.framer.WriteWindowUpdate(1, 5))
	p.want("data " + string(message("one")[:5]))
	p.ok(p.framer.WriteWindowUpdate(1, 5))
	p.want("data one", "headers grpc-status=0")
	p.ok(p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100}))
	p.want("data "+string(message("two")), "headers grpc-status=0")
}

func TestWhatIsRefused(t *testing.T) {
	compressed, unknown := message("x"), message("x")
	compressed[0], unknown[0] = 1, 2
	tests := []struct {
		name   string
		fields []string
		data   []byte
		want   []string
	}{
		{"no POST", []string{":method", "GET"}, nil, []string{"headers :status=405 grpc-status=13 grpc-message=gRPC is spoken with POST", "reset NO_ERROR"}},
		{"another content type", []string{"content-type", "text/html"}, nil, []string{"headers :status=415 grpc-status=3 grpc-message=content type text/html is not that of gRPC", "reset NO_ERROR"}},
		{"an unknown method", []string{":path", "/é%"}, nil, []string{"headers :status=200 grpc-status=12 grpc-message=no method /%C3%A9%25", "reset NO_ERROR"}},
		{"a malformed timeout", []string{"grpc-timeout", "1x"}, nil, []string{"headers :status=400 grpc-status=13 grpc-message=malformed grpc-timeout 1x", "reset NO_ERROR"}},
		{"a long head", []string{"x", strings.Repeat("x", 4096)}, nil, []string{"headers :status=431 grpc-status=8 grpc-message=more header fields than are taken", "reset NO_ERROR"}},
		{"a head with capitals", []string{"X", "y"}, nil, []string{"reset PROTOCOL_ERROR"}},
		{"a message that is too large", nil, []byte{0, 0, 0x40, 0, 1, 'x'}, []string{"headers :status=200 grpc-status=8 grpc-message=refused"}},
		{"two messages", nil, append(message("x"), message("y")...), []string{"headers :status=200 grpc-status=10 grpc-message=refused"}},
		{"a message that is cut", nil, message("x")[:5], []string{"headers :status=200 grpc-status=10 grpc-message=refused"}},
		{"no message", nil, []byte{}, []string{"headers :status=200 grpc-status=10 grpc-message=refused"}},
		{"compressed, nobody says how", nil, compressed, []string{"headers :status=200 grpc-status=10 grpc-message=refused"}},
		{"a flag of another age", nil, unknown, []string{"headers :status=200 grpc-status=10 grpc-message=refused"}},
		{"by its head", []string{"authorization", "bad"}, nil, []string{"headers :status=200 grpc-status=16 grpc-message= grpc-status-details-bin=AQI", "reset NO_ERROR"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options()
			o.Admit = func(_ context.Context, c *Call) *Status {
				if c.Authorization == "bad" {
					return &Status{Code: 16, Details: []byte{1, 2}}
				}
				return nil
			}
			_, l := serve(t, o)
			p := connect(t, l)
			p.head(1, false, tt.fields...)
			if tt.data != nil {
				p.ok(p.framer.WriteData(1, true, tt.data))
			}
			p.want(tt.want...)
			p.ask(3, "others are not harmed")
			p.want(answered("others are not harmed")...)
		})
	}
}

// flood sends the same again and again until the connection ends, and gives the
// last frame that came.
func flood(p *peer, send func(i uint32) error) (last string) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		for i := range uint32(100_000) {
			if send(i) != nil {
				return
			}
		}
	}()
	for f := range p.frames {
		last = f
	}
	<-over
	return last
}

func TestFloodsEnd(t *testing.T) {
	tests := []struct {
		name string
		send func(p *peer, i uint32) error
		want string
	}{
		{"of pings", func(p *peer, _ uint32) error { return p.framer.WritePing(false, [8]byte{}) }, "goaway ENHANCE_YOUR_CALM"},
		{"of streams given up", func(p *peer, i uint32) error {
			block := appendField(appendField(appendField([]byte{0x83}, ":path", echo), "content-type", "application/grpc"), "te", "trailers")
			if err := p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: block, EndHeaders: true}); err != nil {
				return err
			}
			return p.framer.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
		}, "goaway ENHANCE_YOUR_CALM"},
		{"of more streams than may be", func(p *peer, i uint32) error {
			block := appendField(appendField([]byte{0x83}, ":path", echo), "content-type", "application/grpc")
			return p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: block, EndHeaders: true})
		}, "goaway ENHANCE_YOUR_CALM"},
		{"of fields", func(p *peer, i uint32) error {
			if i == 0 {
				return p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: appendField(nil, "x", "y")})
			}
			return p.framer.WriteContinuation(1, false, appendField(nil, "x", strings.Repeat("y", 1000)))
		}, "goaway PROTOCOL_ERROR"},
		{"of frames that continue nothing", func(p *peer, i uint32) error {
			if i == 0 {
				return p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: appendField(nil, "x", "y")})
			}
			return p.framer.WriteContinuation(1, false, nil)
		}, "goaway ENHANCE_YOUR_CALM"},
		{"of data for streams that are over", func(p *peer, i uint32) error {
			if i == 0 {
				p.head(99_999, false)
			}
			return p.framer.WriteData(2*i+1, false, nil)
		}, "goaway ENHANCE_YOUR_CALM"},
		{"of data beyond the window of the connection", func(p *peer, i uint32) error {
			if i%2 == 0 {
				block := appendField(appendField([]byte{0x83}, ":path", echo), "content-type", "application/grpc")
				return p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: i + 1, BlockFragment: block, EndHeaders: true})
			}
			return p.framer.WriteData(i, true, make([]byte, maxFrame+1))
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, l := serve(t, options())
			p := connect(t, l)
			got := flood(p, func(i uint32) error { return tt.send(p, i) })
			if tt.want != "" && got != tt.want {
				t.Errorf("ended with %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMemoryIsBounded(t *testing.T) {
	o := options()
	o.Memory = &counted{most: 200 << 10}
	_, l := serve(t, o)
	p := connect(t, l)
	for _, id := range []uint32{1, 3} {
		p.head(id, false)
		p.ok(p.framer.WriteData(id, false, message(strings.Repeat("x", 1<<20))[:maxFrame]))
	}
	p.want("headers :status=200 grpc-status=9 grpc-message=refused", "reset NO_ERROR")
	p.ok(p.framer.WriteRSTStream(1, http2.ErrCodeCancel))
	p.ask(5, "there is room again")
	p.want(answered("there is room again")...)
}

func TestMoreThanTheWindowIsRefused(t *testing.T) {
	_, l := serve(t, options())
	p := connect(t, l)
	p.head(1, false)
	rest := message(strings.Repeat("x", 4<<20-100))
	over := make(chan struct{})
	go func() {
		defer close(over)
		for i := 0; i <= streamWindow/maxFrame+20; i++ { // permission is never waited for
			if p.framer.WriteData(1, false, rest[i*maxFrame:(i+1)*maxFrame]) != nil {
				return
			}
		}
	}()
	<-over
	for f := range p.frames {
		if f == "reset FLOW_CONTROL_ERROR" {
			t.Fatal("refused although permission came with what was taken")
		}
		if strings.HasPrefix(f, "window") {
			return
		}
	}
	t.Error("got the end, want permission for more")
}

func TestTimeIsBounded(t *testing.T) {
	slow := options()
	slow.StreamTimeout = 4 * time.Second
	tests := []struct {
		name string
		o    Options
		do   func(p *peer)
		want []string
		end  time.Duration // when the connection ends; 0: it goes on
		last time.Duration // when the last frame came, to the second
	}{
		{"a request that does not come", slow, func(p *peer) { p.head(1, false) }, []string{"reset CANCEL"}, 0, 5 * time.Second},
		{"the peer's own deadline", options(), func(p *peer) { p.head(1, false, "grpc-timeout", "2S") }, []string{"reset CANCEL"}, 0, 3 * time.Second},
		{"a peer that is silent and answers pings", options(), func(*peer) {}, []string{"ping"}, 0, 61 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				_, l := serve(t, tt.o)
				p := connect(t, l)
				tt.do(p)
				p.want(tt.want...)
				if got := time.Since(began).Round(time.Second); got > tt.last {
					t.Errorf("after %s, want %s at most", got, tt.last)
				}
				if tt.want[0] == "ping" {
					p.ok(p.framer.WritePing(true, [8]byte{}))
					p.want("ping")                                     // a minute later
					p.wantEnd()                                        // which nobody answers
					if got := time.Since(began); got > 4*time.Minute { // 1 + 1 min, and 20 s
						t.Errorf("ended after %s, want a minute and 20 s after the last word", got)
					}
				}
			})
		})
	}
	t.Run("nothing at all", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, l := serve(t, options())
			ours, theirs := net.Pipe()
			l.conns <- theirs
			began := time.Now()
			if _, err := ours.Read(make([]byte, 1)); err == nil || time.Since(began) != beginTimeout {
				t.Errorf("got %v after %s, want the end after %s", err, time.Since(began), beginTimeout)
			}
		})
	})
	t.Run("a peer that does not read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, l := serve(t, options())
			ours, theirs := net.Pipe()
			l.conns <- theirs
			began := time.Now()
			if _, err := ours.Write([]byte(http2.ClientPreface)); err != nil {
				t.Fatal(err)
			}
			_, err := ours.Write(bytes.Repeat([]byte{0}, 1<<20))
			if took := time.Since(began); err == nil || took > 2*writeTimeout {
				t.Errorf("got %v after %s, want the end after %s", err, took, writeTimeout)
			}
		})
	})
}

func TestStopLetsCallsFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leave := make(chan struct{})
		o := options()
		o.Take = func(context.Context, *Call) ([]byte, *Status) {
			<-leave
			return []byte("done"), nil
		}
		s, l := serve(t, o)
		busy, idle, mute := connect(t, l), connect(t, l), connect(t, l)
		busy.ask(1, "x")
		synctest.Wait()
		stopped := make(chan struct{})
		stops.Store(s, true)
		go func() {
			s.Stop(t.Context())
			close(stopped)
		}()
		for _, p := range []*peer{busy, idle, mute} {
			p.want("goaway NO_ERROR", "ping")
		}
		busy.ask(3, "begun before the peer knew")
		for _, p := range []*peer{busy, idle} {
			p.ok(p.framer.WritePing(true, leavePing))
		}
		idle.wantEnd("goaway NO_ERROR")
		busy.want("goaway NO_ERROR")
		mute.wantEnd("goaway NO_ERROR") // after a second
		busy.ask(5, "begun too late")
		close(leave)
		busy.wantEnd(append(answered("done"), answered("done")...)...)
		<-stopped
	})
}

func TestStopCutsCallsWithoutAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options()
		o.Take = func(ctx context.Context, _ *Call) ([]byte, *Status) {
			<-ctx.Done()
			return nil, &Status{Code: 1}
		}
		s, l := serve(t, o)
		p := connect(t, l)
		p.ask(1, "x")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		stops.Store(s, true)
		s.Stop(ctx)
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("took %s, want 3s", took)
		}
	})
}

// FuzzConn says that whatever a peer sends, its connection ends with it and all
// memory comes back.
func FuzzConn(f *testing.F) {
	var b bytes.Buffer
	p := &peer{t: f, framer: http2.NewFramer(&b, nil)}
	_ = p.framer.WriteSettings()
	p.ask(1, "hello")
	p.head(3, false)
	_ = p.framer.WriteWindowUpdate(0, 100)
	_ = p.framer.WritePing(false, [8]byte{})
	_ = p.framer.WriteDataPadded(3, false, message("part"), make([]byte, 10))
	_ = p.framer.WriteRSTStream(3, 0)
	f.Add(b.Bytes(), true)
	f.Add(b.Bytes(), false)
	f.Fuzz(func(t *testing.T, b []byte, prompt bool) {
		o := options()
		o.Prompt = func(int) bool { return prompt }
		memory := &counted{most: 1 << 20}
		o.Memory, o.MaxMessageBytes, o.MaxStreams = memory, 1<<20, 4
		ours, theirs := net.Pipe()
		over := make(chan struct{})
		go func() {
			defer close(over)
			newConn(&o, theirs).Serve(t.Context())
		}()
		read := make(chan struct{})
		go func() {
			defer close(read)
			for buf := make([]byte, 4096); ; {
				if _, err := ours.Read(buf); err != nil {
					return
				}
			}
		}()
		_, _ = ours.Write(append([]byte(http2.ClientPreface), b...)) // or as much as it takes
		ours.Close()
		<-over
		<-read
		if n := memory.held.Load(); n != 0 {
			t.Errorf("got %d bytes held, want none", n)
		}
	})
}
