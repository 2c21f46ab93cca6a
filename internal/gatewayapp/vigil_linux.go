package gatewayapp

import (
	"syscall"
	"time"
)

// napFor is shorter than the 10 ms after which the monitor takes a processor
// away that is in a system call.
const napFor = 5 * time.Millisecond

// nap sleeps in the kernel, unlike time.Sleep, which gives the processor back.
var nap = func() {
	long := syscall.NsecToTimespec(napFor.Nanoseconds())
	_ = syscall.Nanosleep(&long, nil) // one that a signal cuts short is as good
}
