package logmine_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/logmine"
)

func TestParseStack(t *testing.T) {
	tests := []struct {
		name string
		text string
		want logmine.Stack
	}{
		{
			"go panic",
			"panic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x1]\n\ngoroutine 18 [running]:\nmain.(*Cart).Total(0x0)\n\t/src/cart/cart.go:42 +0x1d\nmain.main()\n\t/src/cart/main.go:9 +0x2e\nexit status 2",
			logmine.Stack{Language: logmine.Go, Exception: "panic", Message: "runtime error: invalid memory address or nil pointer dereference", TopFrame: "main.(*Cart).Total /src/cart/cart.go:42"},
		},
		{
			"go recovered by a server",
			"2026/03/01 12:00:00 http: panic serving 127.0.0.1:5: boom\ngoroutine 7 [running]:\nnet/http.(*conn).serve.func1()\n\t/usr/local/go/src/net/http/server.go:1947 +0xbe\npanic({0x1, 0x2})\n\t/usr/local/go/src/runtime/panic.go:792 +0x132\nmain.handler(...)\n\t/src/main.go:12",
			logmine.Stack{Language: logmine.Go, Exception: "stack", TopFrame: "main.handler /src/main.go:12"},
		},
		{
			"go deadlock",
			"fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\nmain.main()\n\t/src/main.go:5 +0x20",
			logmine.Stack{Language: logmine.Go, Exception: "fatal error", Message: "all goroutines are asleep - deadlock!", TopFrame: "main.main /src/main.go:5"},
		},
		{
			"java with cause",
			"2026-03-01 12:00:00 ERROR c.e.Cart - checkout failed\njava.lang.RuntimeException: checkout\n\tat com.example.Cart.checkout(Cart.java:10)\n\tat java.base/java.lang.Thread.run(Thread.java:829)\nCaused by: java.sql.SQLTransientConnectionException: HikariPool-1 - Connection is not available\n\tat com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:696)\n\t... 12 more",
			logmine.Stack{Language: logmine.Java, Exception: "java.sql.SQLTransientConnectionException", Message: "HikariPool-1 - Connection is not available", TopFrame: "com.zaxxer.hikari.pool.HikariPool.createTimeoutException HikariPool.java:696"},
		},
		{
			"java in thread, kotlin frame",
			"Exception in thread \"main\" java.lang.NullPointerException\n\tat shop.MainKt.main(Main.kt:3)",
			logmine.Stack{Language: logmine.Java, Exception: "java.lang.NullPointerException", TopFrame: "shop.MainKt.main Main.kt:3"},
		},
		{
			"python, raised while handling",
			"Traceback (most recent call last):\n  File \"/app/db.py\", line 7, in get\n    return pool.get()\n           ^^^^^^^^^^\nqueue.Empty\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"/app/web.py\", line 3, in view\n    raise RuntimeError(\"x\")\nRuntimeError: x",
			logmine.Stack{Language: logmine.Python, Exception: "queue.Empty", TopFrame: "get /app/db.py:7"},
		},
		{
			"python after a log line",
			"ERROR:root:failed\nTraceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    1/0\nZeroDivisionError: division by zero",
			logmine.Stack{Language: logmine.Python, Exception: "ZeroDivisionError", Message: "division by zero", TopFrame: "<module> a.py:1"},
		},
		{
			"node",
			"/app/x.js:3\n  throw e\n  ^\n\nTypeError: Cannot read properties of undefined (reading 'id')\n    at total (/app/cart.js:10:15)\n    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)",
			logmine.Stack{Language: logmine.Node, Exception: "TypeError", Message: "Cannot read properties of undefined (reading 'id')", TopFrame: "total /app/cart.js:10:15"},
		},
		{
			"node with code and bare frame",
			"Error: connect ECONNREFUSED 127.0.0.1:5432\n    at /app/db.mjs:4:9",
			logmine.Stack{Language: logmine.Node, Exception: "Error", Message: "connect ECONNREFUSED 127.0.0.1:5432", TopFrame: "/app/db.mjs:4:9"},
		},
		{
			".net with inner",
			"System.InvalidOperationException: outer\n ---> System.NullReferenceException: Object reference not set to an instance of an object.\n   at Shop.Cart.Total(Order order) in /src/Cart.cs:line 12\n   --- End of inner exception stack trace ---\n   at Shop.Program.Main(String[] args)",
			logmine.Stack{Language: logmine.DotNet, Exception: "System.NullReferenceException", Message: "Object reference not set to an instance of an object.", TopFrame: "Shop.Cart.Total /src/Cart.cs:12"},
		},
		{
			".net without places, carriage returns",
			"Unhandled exception. System.IO.IOException: No space left on device\r\n   at System.IO.RandomAccess.WriteAtOffset(SafeFileHandle handle, ReadOnlySpan`1 buffer, Int64 fileOffset)\r\n   at Program.Main()",
			logmine.Stack{Language: logmine.DotNet, Exception: "System.IO.IOException", Message: "No space left on device", TopFrame: "System.IO.RandomAccess.WriteAtOffset"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := logmine.ParseStack(tt.text)
			if !ok {
				t.Fatal("got no stack trace")
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("ParseStack (-got +want):\n%s", diff)
			}
		})
	}
}

func TestParseStackFindsNone(t *testing.T) {
	for _, text := range []string{
		"", "plain line", "error: something\nat the end of the day", "Look at this (file:1:2 is nice)",
		"meet me at noon\n  at the bar", "goroutine 5 is slow", "Traceback (most recent call last):",
		strings.Repeat("{", 10<<20), "\xff\xfe\n\tat \xff",
	} {
		if got, ok := logmine.ParseStack(text); ok {
			t.Errorf("ParseStack(%.40q): got %+v, want none", text, got)
		}
	}
}

func FuzzParseStack(f *testing.F) {
	f.Add("panic: x\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:1 +0x1")
	f.Add("a.B: m\n\tat a.b(C.java:1)\nCaused by: c.D: n\n\tat e.f(G.java:2)")
	f.Add("Traceback (most recent call last):\n  File \"a\", line 1\nE: x")
	f.Add("Error: x\n    at f (/a.js:1:2)\n at A.B.C(D e) in f:line 3")
	f.Fuzz(func(t *testing.T, text string) {
		s, ok := logmine.ParseStack(text)
		if ok && (s.Language == "" || s.Exception == "") {
			t.Errorf("ParseStack(%q): got %+v, want language and exception", text, s)
		}
	})
}
