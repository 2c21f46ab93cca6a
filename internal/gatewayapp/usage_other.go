//go:build !unix

package gatewayapp

import "time"

// cpuTime is not known here.
func cpuTime() time.Duration { return 0 }
