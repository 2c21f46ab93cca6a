package app

import (
	"time"

	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/heal"
)

// file is what homeostat.yaml looks like.
var file = config.Form[Config]{Prefix: "HOMEOSTAT", Default: Default, Check: consistent, Nearest: heal.Nearest}

// Load reads the configuration: defaults, then the file, then the environment
// (as os.Environ gives it). A missing file is no mistake if it was not asked
// for by name. Every mistake is reported at once.
func Load(path string, named bool, environ []string) (Config, []config.Problem) {
	return file.Load(path, named, environ)
}

// DefaultYAML is the default configuration as a commented file.
func DefaultYAML() []byte {
	return file.Write("Homeostat, with every default. Each key can be overridden from the environment:\nserver.listen by HOMEOSTAT_SERVER_LISTEN, and so on.")
}

func days(n int) config.Duration { return config.Duration(n) * config.Duration(24*time.Hour) }
