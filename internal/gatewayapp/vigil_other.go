//go:build !linux

package gatewayapp

// nap is nil, as it is not known here how to sleep in the kernel.
var nap func()
