package playbook

import (
	"embed"
	"io/fs"
)

//go:embed shipped/*.yaml
var shipped embed.FS

// Shipped holds the playbooks that come with Homeostat, one in each file.
func Shipped() fs.FS {
	sub, err := fs.Sub(shipped, "shipped")
	if err != nil {
		panic("playbook: shipped playbooks: " + err.Error()) // a bug: the folder is embedded
	}
	return sub
}
