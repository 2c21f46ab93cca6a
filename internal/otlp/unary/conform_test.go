package unary

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// A rule is something a peer does that HTTP/2 has a rule for, by the section of
// RFC 9113 that says it.
type rule struct {
	name string
	do   func(p *peer)
	want []string // what comes of it; after a farewell, the end
}

// held is a call whose answer waits for permission, so that its peer alone has
// ended it.
func held(p *peer, id uint32) {
	p.t.Helper()
	p.ok(p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}))
	p.ask(id, "held")
	p.want("headers :status=200")
}

// done is a call that was answered.
func done(p *peer, id uint32) {
	p.t.Helper()
	p.ask(id, "done")
	p.want(answered("done")...)
}

// refused is a call that was answered before its peer ended it.
func refused(p *peer, id uint32) {
	p.t.Helper()
	p.head(id, false, ":path", "/none")
	p.want("headers :status=200 grpc-status=12 grpc-message=no method /none", "reset NO_ERROR")
}

func window(id uint32, n uint32) func(*peer) {
	return func(p *peer) { p.ok(p.framer.WriteWindowUpdate(id, n)) }
}

func raw(kind http2.FrameType, flags http2.Flags, id uint32, payload ...byte) func(*peer) {
	return func(p *peer) { p.raw(kind, flags, id, payload...) }
}

func settings(all ...http2.Setting) func(*peer) {
	return func(p *peer) { p.ok(p.framer.WriteSettings(all...)) }
}

// after does one thing after another.
func after(steps ...func(*peer)) func(*peer) {
	return func(p *peer) {
		for _, do := range steps {
			do(p)
		}
	}
}

// with is a step on a stream.
func with(id uint32, do func(*peer, uint32)) func(*peer) { return func(p *peer) { do(p, id) } }

// call opens a call with fields; its message does not come.
func call(id uint32, fields ...string) func(*peer) {
	return func(p *peer) { p.head(id, false, fields...) }
}

func data(id uint32, last bool, b ...byte) func(*peer) {
	return func(p *peer) { p.ok(p.framer.WriteData(id, last, b)) }
}

func reset(id uint32) func(*peer) {
	return func(p *peer) { p.ok(p.framer.WriteRSTStream(id, http2.ErrCodeCancel)) }
}

func trailers(id uint32, last bool, fields ...string) func(*peer) {
	return func(p *peer) { p.trailers(id, last, fields...) }
}

// block opens a call with a block of fields as it is.
func block(id uint32, flags http2.Flags, b ...byte) func(*peer) {
	return raw(http2.FrameHeaders, flags, id, b...)
}

const (
	endStream  = http2.FlagHeadersEndStream
	endHeaders = http2.FlagHeadersEndHeaders
	padded     = http2.FlagHeadersPadded
	priority   = http2.FlagHeadersPriority
	ack        = http2.FlagPingAck
)

func TestRulesOfHTTP2(t *testing.T) {
	const (
		protocol    = "goaway PROTOCOL_ERROR"
		frameSize   = "goaway FRAME_SIZE_ERROR"
		flow        = "goaway FLOW_CONTROL_ERROR"
		compression = "goaway COMPRESSION_ERROR"
		closed      = "goaway STREAM_CLOSED"
		calm        = "goaway ENHANCE_YOUR_CALM"
	)
	whole := headOf(":method", "POST", ":scheme", "http", ":path", echo, "content-type", "application/grpc")
	rules := []rule{
		{"4.1 frames of an unknown kind are ignored", raw(0xbe, 0xff, 7, 1, 2, 3), nil},
		{"4.1 unknown flags are ignored", raw(http2.FramePing, 0xfe, 0, make([]byte, 8)...), []string{"ping ack"}},
		{"4.1 the reserved bit is ignored", after(call(1), raw(http2.FrameData, endStream, 1|1<<31, message("x")...)), answered("x")},
		{"4.2 a frame as large as may be", raw(http2.FrameSettings+100, 0, 0, make([]byte, maxFrame)...), nil},
		{"4.2 a frame that is too large", func(p *peer) { p.must(p.conn.Write([]byte{0, 0x40, 1, 0, 0, 0, 0, 0, 1})) }, []string{frameSize}},
		{"4.2 fields that are too large for a frame", func(p *peer) { p.must(p.conn.Write([]byte{0, 0x40, 1, 1, 4, 0, 0, 0, 1})) }, []string{frameSize}},
		{"4.2 data without the length of its padding", after(call(1), raw(http2.FrameData, padded, 1)), []string{frameSize}},
		{"4.2 fields without the length of their padding", block(1, padded|endHeaders), []string{frameSize}},
		{"4.2 fields with half a priority", block(1, priority|endHeaders, 0, 0, 0, 0), []string{frameSize}},
		{"4.3 an index of nothing", block(1, endHeaders, 0x80), []string{compression}},
		{"4.3 an index beyond the tables", block(1, endHeaders, 0xff, 0x70), []string{compression}},
		{"4.3 a table larger than may be", block(1, endHeaders, append([]byte{0x3f, 0xe2, 0x1f}, whole...)...), []string{compression}},
		{"4.3 a table resized after a field", block(1, endHeaders, append(appendString(appendString(append([]byte{}, append(whole, 0x40)...), "a"), "b"), 0x20)...), []string{compression}},
		{"4.3 a field that is cut", block(1, endHeaders, whole[:len(whole)-1]...), []string{compression}},
		{"4.3 a text that is no Huffman code", block(1, endHeaders, 0x00, 0x81, 0xff, 0x81, 0xff), []string{compression}},
		{"4.3 fields interrupted by another kind", after(block(1, 0, 0x83), raw(http2.FramePing, 0, 0, make([]byte, 8)...)), []string{protocol}},
		{"4.3 fields interrupted by an unknown kind", after(block(1, 0, 0x83), raw(0xbe, 0, 1)), []string{protocol}},
		{"4.3 fields interrupted by those of another stream", after(block(1, 0, 0x83), block(3, endHeaders, whole...)), []string{protocol}},
		{"4.3 fields continued on another stream", after(block(1, 0, 0x83), raw(http2.FrameContinuation, endHeaders, 3, 0x86)), []string{protocol}},

		{"5.1 idle: data", data(1, true), []string{protocol}},
		{"5.1 idle: a reset", reset(1), []string{protocol}},
		{"5.1 idle: a window", window(1, 1), []string{protocol}},
		{"5.1 idle: a window of nothing", window(1, 0), []string{protocol}},
		{"5.1 idle: fields continued", raw(http2.FrameContinuation, endHeaders, 1, 0x83), []string{protocol}},
		{"5.1 idle: a priority", raw(http2.FramePriority, 0, 7, 0, 0, 0, 0, 1), nil},
		{"5.1 idle: data on a stream of ours", after(call(5), data(2, true)), []string{protocol}},
		{"5.1 idle: a reset of a stream of ours", after(call(5), reset(2)), []string{protocol}},
		{"5.1 idle: a window of a stream of ours", after(call(5), window(2, 1)), []string{protocol}},
		{"5.1 half-closed: data", after(with(1, held), data(1, true, 1)), []string{"reset STREAM_CLOSED"}},
		{"5.1 half-closed: trailers", after(with(1, held), trailers(1, true, "x", "y")), []string{"reset STREAM_CLOSED"}},
		{"5.1 half-closed: a call", after(with(1, held), call(1)), []string{"reset STREAM_CLOSED"}},
		{"5.1 half-closed: a call that is malformed", after(with(1, held), call(1, "X", "y")), []string{"reset STREAM_CLOSED"}},
		{"5.1 half-closed: a priority and a window", after(with(1, held), raw(http2.FramePriority, 0, 1, 0, 0, 0, 0, 1), window(1, 100)), answered("held")[1:]},
		{"5.1 half-closed: a reset", after(with(1, held), reset(1), window(1, 100)), nil},
		{"5.1 closed: data", after(with(1, done), data(1, false, 1), data(1, true, 1)), []string{"reset STREAM_CLOSED"}},
		{"5.1 closed: a call", after(with(1, done), call(1)), []string{protocol}},
		{"5.1 closed: a call that is malformed", after(with(1, done), call(1, "X", "y")), []string{protocol}},
		{"5.1 closed: trailers", after(with(1, done), trailers(1, true, "x", "y")), []string{closed}},
		{"5.1 closed: windows, a reset and a priority", after(with(1, done), window(1, 1), window(1, 0), reset(1), raw(http2.FramePriority, 0, 1, 0, 0, 0, 0, 1)), nil},
		{"5.1 closed by its peer's reset: data", after(call(1), reset(1), data(1, true, 1)), []string{"reset STREAM_CLOSED"}},
		{"5.1 closed by its peer's reset: trailers", after(call(1), reset(1), trailers(1, true, "x", "y")), []string{closed}},
		{"5.1 closed early: what was under way", after(with(1, refused), data(1, false, 1), window(1, 1), trailers(1, true, "x", "y")), nil},
		{"5.1 closed early: what is malformed", after(with(1, refused), trailers(1, true, "X", "y"), window(1, 0)), nil},
		{"5.1.1 an even stream", call(2), []string{protocol}},
		{"5.1.1 an even stream that is malformed", call(2, "X", "y"), []string{protocol}},
		{"5.1.1 a call on a stream passed over", after(call(5), call(3)), []string{protocol}},
		{"5.1.1 trailers on a stream passed over", after(call(5), trailers(3, true, "x", "y")), []string{closed}},
		{"5.1.1 data on a stream passed over", after(call(5), data(3, true)), []string{"reset STREAM_CLOSED"}},
		{"5.1.1 a reset and a window on a stream passed over", after(call(5), reset(3), window(3, 1)), nil},
		{"5.1.2 more streams than may be", func(p *peer) {
			for i := range uint32(11) {
				p.head(2*i+1, false)
			}
			reset(1)(p)
		}, []string{"reset REFUSED_STREAM"}},
		{"5.1.2 what follows on a stream that was one too many", func(p *peer) {
			for i := range uint32(11) {
				p.head(2*i+1, false)
			}
			data(21, true, message("x")...)(p)
			reset(1)(p)
		}, []string{"reset REFUSED_STREAM"}},

		{"6.1 data of the connection", data(0, true), []string{protocol}},
		{"6.1 padding as long as its frame", after(call(1), raw(http2.FrameData, padded, 1, 4, 0, 0, 0)), []string{protocol}},
		{"6.1 padding to the end of its frame", after(call(1), raw(http2.FrameData, padded, 1, 3, 0, 0, 0), data(1, true, message("x")...)), answered("x")},
		{"6.2 fields of the connection", block(0, endHeaders, whole...), []string{protocol}},
		{"6.2 padding longer than the fields", block(1, padded|endHeaders, append([]byte{255}, whole[:100]...)...), []string{protocol}},
		{"6.2 padding and a priority", after(block(1, padded|priority|endHeaders, append(append([]byte{2, 0, 0, 0, 1, 9}, whole...), 0, 0)...), data(1, true, message("x")...)), answered("x")},
		{"6.3 a priority of the connection", raw(http2.FramePriority, 0, 0, 0, 0, 0, 0, 1), []string{protocol}},
		{"6.3 a priority of four bytes", raw(http2.FramePriority, 0, 1, 0, 0, 0, 0), []string{frameSize}},
		{"6.4 a reset of the connection", reset(0), []string{protocol}},
		{"6.4 a reset of three bytes", after(call(1), raw(http2.FrameRSTStream, 0, 1, 0, 0, 0)), []string{frameSize}},
		{"6.5 settings of a stream", raw(http2.FrameSettings, 0, 1), []string{protocol}},
		{"6.5 settings of five bytes", raw(http2.FrameSettings, 0, 0, 0, 3, 0, 0, 0), []string{frameSize}},
		{"6.5 settings acknowledged with settings", raw(http2.FrameSettings, ack, 0, 0, 3, 0, 0, 0, 1), []string{frameSize}},
		{"6.5 settings nobody waits to be acknowledged", raw(http2.FrameSettings, ack, 0), nil},
		{"6.5.2 push neither on nor off", settings(http2.Setting{ID: http2.SettingEnablePush, Val: 2}), []string{protocol}},
		{"6.5.2 a window that is too large", settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31}), []string{flow}},
		{"6.5.2 a window that is too large behind another", settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31}), []string{flow}},
		{"6.5.2 frames that are too small", settings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: maxFrame - 1}), []string{protocol}},
		{"6.5.2 frames that are too large", settings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 24}), []string{protocol}},
		{"6.5.2 an unknown setting", settings(http2.Setting{ID: 0xbeef, Val: 1}), nil},
		{"6.5.2 more settings than there are", settings(make([]http2.Setting, maxSettings+1)...), []string{calm}},
		{"6.5.3 the last of a setting given twice counts", after(
			settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 7}), func(p *peer) { p.ask(1, "in order") },
			func(p *peer) { p.want("headers :status=200", "data "+string(message("in order")[:7])) }, window(1, 100)), []string{"data " + string(message("in order")[7:]), "headers grpc-status=0"}},
		{"6.6 a push", raw(http2.FramePushPromise, endHeaders, 1, append([]byte{0, 0, 0, 2}, whole...)...), []string{protocol}},
		{"6.7 a ping of a stream", raw(http2.FramePing, 0, 1, make([]byte, 8)...), []string{protocol}},
		{"6.7 a ping of seven bytes", raw(http2.FramePing, 0, 0, make([]byte, 7)...), []string{frameSize}},
		{"6.7 a ping that is answered is not answered", raw(http2.FramePing, ack, 0, make([]byte, 8)...), nil},
		{"6.8 a farewell of a stream", raw(http2.FrameGoAway, 0, 1, make([]byte, 8)...), []string{protocol}},
		{"6.8 a farewell of seven bytes", raw(http2.FrameGoAway, 0, 0, make([]byte, 7)...), []string{frameSize}},
		{"6.8 calls go on after a farewell", raw(http2.FrameGoAway, 0, 0, make([]byte, 8)...), nil},
		{"6.9 a window of nothing", window(0, 0), []string{protocol}},
		{"6.9 a window of nothing for a call", after(call(1), window(1, 0)), []string{"reset PROTOCOL_ERROR"}},
		{"6.9 a window of three bytes", raw(http2.FrameWindowUpdate, 0, 0, 0, 0, 1), []string{frameSize}},
		{"6.9.1 a window without end", window(0, maxWindow), []string{flow}},
		{"6.9.1 a window without end for a call", after(call(1), window(1, maxWindow)), []string{"reset FLOW_CONTROL_ERROR"}},
		{"6.9.2 a window below nothing", after(
			settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 6}), func(p *peer) { p.ask(1, "below") },
			func(p *peer) { p.want("headers :status=200", "data "+string(message("below")[:6])) },
			settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 2}), window(1, 4), window(1, 1), window(1, 3)), []string{"data e", "data low", "headers grpc-status=0"}},
		{"6.9.2 a setting that makes a window too large", after(call(1), window(1, maxWindow-firstWindow), settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: firstWindow + 1})), []string{flow}},
		{"6.10 a continuation of nothing", raw(http2.FrameContinuation, endHeaders, 1, whole...), []string{protocol}},
		{"6.10 a continuation of what is whole", after(call(1), raw(http2.FrameContinuation, endHeaders, 1, 0x83)), []string{protocol}},
		{"6.10 a continuation of the connection", after(block(1, 0, 0x83), raw(http2.FrameContinuation, endHeaders, 0, 0x86)), []string{protocol}},
		{"6.10 fields in many frames", after(block(1, 0, whole[:1]...), raw(http2.FrameContinuation, 0, 1), raw(http2.FrameContinuation, 0, 1, whole[1:9]...),
			raw(http2.FrameContinuation, endHeaders, 1, whole[9:]...), data(1, true, message("x")...)), answered("x")},

		{"8.1 trailers that end nothing", after(call(1), trailers(1, false, "x", "y")), []string{"reset PROTOCOL_ERROR"}},
		{"8.1 trailers", after(call(1), data(1, false, message("x")...), trailers(1, true, "x", "y")), answered("x")},
		{"8.1 trailers with a method", after(call(1), data(1, false, message("x")...), trailers(1, true, ":method", "POST")), []string{"reset PROTOCOL_ERROR"}},
		{"8.1 trailers with a status", after(call(1), data(1, false, message("x")...), trailers(1, true, ":status", "200")), []string{"reset PROTOCOL_ERROR"}},
		{"8.1.1 less than the length", after(call(1, "content-length", "7"), data(1, true, message("x")...)), []string{"reset PROTOCOL_ERROR"}},
		{"8.1.1 more than the length", after(call(1, "content-length", "5"), data(1, true, message("x")...)), []string{"reset PROTOCOL_ERROR"}},
		{"8.1.1 less than the length before trailers", after(call(1, "content-length", "7"), data(1, false, message("x")...), trailers(1, true, "x", "y")), []string{"reset PROTOCOL_ERROR"}},
		{"8.1.1 the length, padding apart", after(call(1, "content-length", "6"), raw(http2.FrameData, padded|endStream, 1, append(append([]byte{3}, message("x")...), 0, 0, 0)...)), answered("x")},
		{
			"8.1.1 a length of nothing, and nothing", trailers(1, true, ":method", "POST", ":scheme", "http", ":path", echo, "content-type", "application/grpc", "content-length", "0"),
			[]string{"headers :status=200 grpc-status=13 grpc-message=a call without a message"},
		},
		{"8.1.1 a length, and nothing", trailers(1, true, ":method", "POST", ":scheme", "http", ":path", echo, "content-type", "application/grpc", "content-length", "1"), []string{"reset PROTOCOL_ERROR"}},
		{"8.1.1 a length that is no number", call(1, "content-length", "+6"), []string{"reset PROTOCOL_ERROR"}},
		{"8.1.1 two lengths", block(1, endHeaders, append(append([]byte{}, whole...), headOf("content-length", "6", "content-length", "7")...)...), []string{"reset PROTOCOL_ERROR"}},
		{"8.2.1 a name with capitals", call(1, "Te", "trailers"), []string{"reset PROTOCOL_ERROR"}},
		{"8.2.1 a name with a space", call(1, "a b", "c"), []string{"reset PROTOCOL_ERROR"}},
		{"8.2.1 a name with a colon", call(1, "a:b", "c"), []string{"reset PROTOCOL_ERROR"}},
		{"8.2.1 no name", call(1, "", "c"), []string{"reset PROTOCOL_ERROR"}},
		{"8.2.1 a value with a line end", call(1, "a", "b\r\nc: d"), []string{"reset PROTOCOL_ERROR"}},
		{"8.2.1 a value with a zero", call(1, "a", "b\x00c"), []string{"reset PROTOCOL_ERROR"}},
		{"8.2.2 connection", call(1, "connection", "keep-alive"), []string{"reset PROTOCOL_ERROR"}},
		{"8.2.2 proxy-connection", call(1, "proxy-connection", "keep-alive"), []string{"reset PROTOCOL_ERROR"}},
		{"8.2.2 keep-alive", call(1, "keep-alive", "timeout=5"), []string{"reset PROTOCOL_ERROR"}},
		{"8.2.2 transfer-encoding", call(1, "transfer-encoding", "chunked"), []string{"reset PROTOCOL_ERROR"}},
		{"8.2.2 upgrade", call(1, "upgrade", "h2c"), []string{"reset PROTOCOL_ERROR"}},
		{"8.2.2 te with more than trailers", call(1, "te", "trailers, deflate"), []string{"reset PROTOCOL_ERROR"}},
		{"8.2.2 te with trailers", after(call(1, "te", "trailers"), data(1, true, message("x")...)), answered("x")},
		{"8.3 a field of answers", call(1, ":status", "200"), []string{"reset PROTOCOL_ERROR"}},
		{"8.3 a field of an extension", call(1, ":protocol", "websocket"), []string{"reset PROTOCOL_ERROR"}},
		{"8.3 an unknown field", call(1, ":x", "y"), []string{"reset PROTOCOL_ERROR"}},
		{"8.3 one behind the others", trailers(1, false, ":method", "POST", "te", "trailers", ":scheme", "http", ":path", echo), []string{"reset PROTOCOL_ERROR"}},
		{"8.3 one given twice", trailers(1, false, ":method", "POST", ":method", "POST", ":scheme", "http", ":path", echo), []string{"reset PROTOCOL_ERROR"}},
		{"8.3.1 no method", trailers(1, false, ":scheme", "http", ":path", echo), []string{"reset PROTOCOL_ERROR"}},
		{"8.3.1 no scheme", trailers(1, false, ":method", "POST", ":path", echo), []string{"reset PROTOCOL_ERROR"}},
		{"8.3.1 no path", trailers(1, false, ":method", "POST", ":scheme", "http"), []string{"reset PROTOCOL_ERROR"}},
		{"8.3.1 an empty path", call(1, ":path", ""), []string{"reset PROTOCOL_ERROR"}},
		{"8.5 a tunnel", trailers(1, true, ":method", "CONNECT", ":authority", "x:1"), []string{"headers :status=405 grpc-status=13 grpc-message=gRPC is spoken with POST"}},
	}
	for _, tt := range rules {
		t.Run(tt.name, func(t *testing.T) {
			_, l := serve(t, options())
			p := connect(t, l)
			tt.do(p)
			if n := len(tt.want); n > 0 && strings.HasPrefix(tt.want[n-1], "goaway") {
				p.wantEnd(tt.want...)
				return
			}
			p.want(tt.want...)
			p.ok(p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: firstWindow}))
			p.ask(99, "others are not harmed")
			p.want(answered("others are not harmed")...)
		})
	}
}

func TestRulesOfABeginning(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(p *peer)
	}{
		{"a first frame that is not settings", raw(http2.FramePing, 0, 0, make([]byte, 8)...)},
		{"settings acknowledged before there are any", raw(http2.FrameSettings, ack, 0)},
		{"a call that is malformed", call(1, "X", "y")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, l := serve(t, options())
			ours, theirs := net.Pipe()
			l.conns <- theirs
			p := newPeer(t, ours)
			p.must(ours.Write([]byte(http2.ClientPreface)))
			tt.do(p)
			p.wantEnd("goaway PROTOCOL_ERROR")
		})
	}
	t.Run("another protocol", func(t *testing.T) {
		_, l := serve(t, options())
		ours, theirs := net.Pipe()
		defer ours.Close()
		l.conns <- theirs
		if _, err := ours.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err == nil {
			if _, err = ours.Read(make([]byte, 1)); err == nil {
				t.Error("got an answer, want the end")
			}
		}
	})
}

// TestAFarewellNamesTheLastStream says that only streams that began count, after
// one that was one too late neither.
func TestAFarewellNamesTheLastStream(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(p *peer)
		last int64
	}{
		{"a window of a stream that never began", after(call(3), window(7, 0)), 3},
		{"a call that is malformed", after(call(5, "X", "y"), func(p *peer) { p.want("reset PROTOCOL_ERROR") }, window(0, 0)), 5},
		{"nothing", window(0, 0), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, l := serve(t, options())
			p := connect(t, l)
			tt.do(p)
			p.wantEnd("goaway PROTOCOL_ERROR")
			if got := p.last.Load(); got != tt.last {
				t.Errorf("got stream %d, want %d", got, tt.last)
			}
		})
	}
}

func TestSettingsAreAcknowledged(t *testing.T) {
	_, l := serve(t, options())
	p := connect(t, l)
	p.ok(p.framer.WriteSettings(http2.Setting{ID: 0xbeef, Val: 1}))
	p.ok(p.framer.WriteSettingsAck())
	p.ok(p.framer.WritePing(false, [8]byte{}))
	p.want("ping ack")
	if got := p.acks.Load(); got != 2 {
		t.Errorf("got %d acknowledged, want 2", got)
	}
}

// TestATableThatWasResizedIsTold has a peer resize its table while an answer
// waits: the next fields it is sent must begin with what became of that.
func TestATableThatWasResizedIsTold(t *testing.T) {
	_, conn := serveTCP(t, options())
	p := &peer{t: t, conn: conn, framer: http2.NewFramer(conn, conn)}
	p.greet(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	p.ask(1, "x")
	var blocks [][]byte
	for len(blocks) < 2 {
		f, err := p.framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if h, ok := f.(*http2.HeadersFrame); ok {
			blocks = append(blocks, bytes.Clone(h.HeaderBlockFragment()))
			if len(blocks) == 1 {
				p.ok(p.framer.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100}))
			}
		}
	}
	if blocks[0][0] == 0x20 || blocks[1][0] != 0x20 {
		t.Errorf("got fields that begin with %#x and %#x, want 0x20 in the second alone", blocks[0][0], blocks[1][0])
	}
}
