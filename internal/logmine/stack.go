package logmine

import (
	"cmp"
	"regexp"
	"strings"
)

// Language is what a stack trace was written by.
type Language string

// The languages whose stack traces are known.
const (
	Go     Language = "go"
	Java   Language = "java"
	Python Language = "python"
	Node   Language = "node"
	DotNet Language = "dotnet"
)

// Stack is what a stack trace says. Where exceptions caused each other it
// tells of the first of them, the root.
type Stack struct {
	Language  Language `json:"language"`
	Exception string   `json:"exception"`           // type, as the language writes it
	Message   string   `json:"message,omitempty"`   // of the exception
	TopFrame  string   `json:"top_frame,omitempty"` // function and, where given, file and line
}

func (s Stack) compare(other Stack) int {
	return cmp.Or(
		cmp.Compare(s.Language, other.Language),
		cmp.Compare(s.Exception, other.Exception),
		cmp.Compare(s.TopFrame, other.TopFrame),
	)
}

// maxStackLines is how much of a text is looked at for a stack trace.
const maxStackLines = 1000

// ParseStack finds the stack trace in a text, false if there is none.
func ParseStack(text string) (Stack, bool) {
	lines := strings.Split(strings.ReplaceAll(clip(text), "\r\n", "\n"), "\n")
	lines = lines[:min(len(lines), maxStackLines)]
	for _, parse := range []func([]string) (Stack, bool){goStack, pythonStack, javaStack, nodeStack, dotNetStack} {
		if s, ok := parse(lines); ok {
			return s, true
		}
	}
	return Stack{}, false
}

var (
	goRoutine = regexp.MustCompile(`^goroutine \d+ (?:gp=\S+ )?(?:m=\S+ )?(?:mp=\S+ )?\[[^\]]*\]:$`)
	goFrame   = regexp.MustCompile(`^(\S+)\(.*\)$`)
	goPlace   = regexp.MustCompile(`^\s+(\S+\.(?:go|s):\d+)(?: \+0x[0-9a-f]+)?$`)
	goFatal   = regexp.MustCompile(`(?:^|\s)(panic|fatal error): (.*)$`)
)

// goStack reads "panic: message" and the frames of the first goroutine, from
// the one that panicked on.
func goStack(lines []string) (Stack, bool) {
	s := Stack{Language: Go, Exception: "stack"}
	routine := -1
	for i, line := range lines {
		if m := goFatal.FindStringSubmatch(line); m != nil && s.Exception == "stack" {
			s.Exception, s.Message = m[1], strings.TrimSuffix(m[2], " [recovered]")
		}
		if goRoutine.MatchString(line) {
			routine = i
			break
		}
	}
	if routine < 0 {
		return Stack{}, false
	}
	for i := routine + 1; i+1 < len(lines) && lines[i] != ""; i++ {
		frame, place := goFrame.FindStringSubmatch(lines[i]), goPlace.FindStringSubmatch(lines[i+1])
		if frame == nil || place == nil {
			continue
		}
		switch name := frame[1]; {
		case name == "panic":
			s.TopFrame = "" // what came before ran because of it
		case s.TopFrame == "" && !strings.HasPrefix(name, "runtime.") && !strings.HasPrefix(name, "runtime/debug."):
			s.TopFrame = name + " " + place[1]
		}
	}
	return s, s.TopFrame != "" || s.Exception != "stack"
}

var pythonFrame = regexp.MustCompile(`^\s*File "([^"]+)", line (\d+)(?:, in (\S+))?`)

// pythonStack reads the first traceback: the ones after it were raised while
// it was handled. Its innermost frame is its last.
func pythonStack(lines []string) (Stack, bool) {
	s := Stack{Language: Python}
	begun := false
	for _, line := range lines {
		if strings.HasSuffix(strings.TrimSpace(line), "Traceback (most recent call last):") {
			begun = true
			continue
		}
		if !begun {
			continue
		}
		if m := pythonFrame.FindStringSubmatch(line); m != nil {
			s.TopFrame = strings.TrimSpace(m[3] + " " + m[1] + ":" + m[2])
			continue
		}
		if s.TopFrame == "" || line == "" || line[0] == ' ' || line[0] == '\t' {
			continue // source of a frame, or marks under it
		}
		s.Exception, s.Message = exceptionHead(line)
		return s, s.Exception != ""
	}
	return Stack{}, false
}

var (
	javaFrame   = regexp.MustCompile(`^\s*at ((?:[\w.$-]+/)*(?:[\w.-]+@[\w.-]+/)?[\w.$<>-]+)\(([\w$-]+\.(?:java|kt|kts|scala|groovy|clj)(?::\d+)?|Native Method|Unknown Source)\)`)
	nodeFrame   = regexp.MustCompile(`^\s*at (?:(.+?) \()?((?:file://|node:|webpack|[A-Za-z]:\\|/|\.|internal/)?[^()]*?:\d+:\d+)\)?$`)
	dotNetFrame = regexp.MustCompile("^\\s*at ([\\w.`<>\\[\\],+|$]+\\.[\\w.`<>\\[\\],+|$]+)\\([^)]*\\)(?: in (.+):line (\\d+))?\\s*$")
	inThread    = regexp.MustCompile(`^Exception in thread "[^"]*" `)
)

// javaStack reads the last "Caused by:", the root.
func javaStack(lines []string) (Stack, bool) {
	return atStack(lines, Java, javaFrame, "Caused by: ", func(m []string) string { return m[1] + " " + m[2] })
}

func nodeStack(lines []string) (Stack, bool) {
	return atStack(lines, Node, nodeFrame, "[cause]: ", func(m []string) string { return strings.TrimSpace(m[1] + " " + m[2]) })
}

// dotNetStack reads the innermost "---> exception", whose frames come first.
func dotNetStack(lines []string) (Stack, bool) {
	s := Stack{Language: DotNet}
	for i, line := range lines {
		m := dotNetFrame.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		s.TopFrame = m[1]
		if m[2] != "" {
			s.TopFrame += " " + m[2] + ":" + m[3]
		}
		for k := i - 1; k >= 0 && s.Exception == ""; k-- {
			head := lines[k]
			if at := strings.LastIndex(head, "---> "); at >= 0 {
				head = head[at+len("---> "):]
			}
			s.Exception, s.Message = exceptionHead(strings.TrimPrefix(strings.TrimSpace(head), "Unhandled exception. "))
		}
		return s, s.Exception != ""
	}
	return Stack{}, false
}

// atStack reads traces of frames that begin with "at", each under the line
// that names its exception. A line that begins with cause names the one that
// caused those before it.
func atStack(lines []string, language Language, frame *regexp.Regexp, cause string, name func([]string) string) (Stack, bool) {
	var s Stack
	head := ""       // the newest line that may name an exception
	rooted := false  // the head named a cause
	inTrace := false // frames of the head were seen
	for _, line := range lines {
		if m := frame.FindStringSubmatch(line); m != nil {
			if exception, message := exceptionHead(head); !inTrace && exception != "" && (s.Exception == "" || rooted) {
				s = Stack{Language: language, Exception: exception, Message: message, TopFrame: name(m)}
			}
			inTrace = true
			continue
		}
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, "... ") {
			continue
		}
		if _, after, ok := strings.Cut(trimmed, cause); ok {
			head, rooted, inTrace = after, true, false
			continue
		}
		// The message of an exception may go over several lines: the line that
		// names it stays the head until frames follow.
		if exception, _ := exceptionHead(trimmed); exception != "" && (inTrace || head == "" || !rooted) {
			head, rooted, inTrace = trimmed, false, false
		}
	}
	return s, s.Exception != ""
}

var exceptionName = regexp.MustCompile(`(?:^|[\s\[(])((?:[A-Za-z_$][\w$]*[.])*[A-Z_$a-z][\w$]*(?:Exception|Error|Warning|Failure|Fault|Throwable|Interrupt|Exit|Iteration)\d*|Error)(?:\s*\[[A-Z_]+\])?(?:: ?(.*))?$`)

// exceptionHead reads "Type: message", with words such as the time and level
// of a log line before it; an empty type if the line is not of that form.
func exceptionHead(line string) (exception, message string) {
	line = inThread.ReplaceAllString(strings.TrimSpace(line), "")
	name, rest, _ := strings.Cut(line, ":")
	if isDotted(name) {
		return name, strings.TrimSpace(rest)
	}
	if m := exceptionName.FindStringSubmatch(line); m != nil {
		return m[1], m[2]
	}
	return "", ""
}

var dotted = regexp.MustCompile(`^[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)+$`)

// isDotted reports whether text is a qualified name such as a.b.NotFound.
func isDotted(text string) bool { return dotted.MatchString(text) }
