package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

//go:embed assets
var assetFiles embed.FS

// asset is one file as it is served.
type asset struct {
	plain, packed []byte
	kind, digest  string
}

// assets serves the files of the page. Their addresses hold a digest of what is
// in them, so that browsers may keep them for ever.
type assets struct{ files map[string]*asset }

var assetKinds = map[string]string{
	".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
}

func loadAssets() (*assets, error) {
	a := &assets{files: map[string]*asset{}}
	err := fs.WalkDir(assetFiles, "assets", func(name string, d fs.DirEntry, err error) error {
		kind := assetKinds[path.Ext(name)]
		if err != nil || d.IsDir() || kind == "" {
			return err
		}
		data, err := assetFiles.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		if _, err := z.Write(data); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		a.files[strings.TrimPrefix(name, "assets/")] = &asset{plain: data, packed: packed.Bytes(), kind: kind, digest: hex.EncodeToString(sum[:6])}
		return nil
	})
	if err != nil {
		return nil, heal.Errorf(heal.Internal, "load the assets", "%w", err)
	}
	return a, nil
}

// url is the address of an asset; of one that is not there, an address that
// answers 404.
func (a *assets) url(name string) string {
	digest := "none"
	if f := a.files[name]; f != nil {
		digest = f.digest
	}
	return "/assets/" + digest + "/" + name
}

func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	digest, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/assets/"), "/")
	f := a.files[name]
	if f == nil || f.digest != digest {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	data := f.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		data = f.packed
	}
	// An error here means that the browser is gone: nobody is left to tell.
	_, _ = w.Write(data)
}
