// Command shrink writes pictures of the page anew with 256 colours each, which
// is what a page of text has: shrink <folder>. It is not for photographs.
package main

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: shrink <folder>")
		os.Exit(2)
	}
	files, err := filepath.Glob(filepath.Join(os.Args[1], "*.png"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("there are no pictures in %s", os.Args[1])
	}
	for _, f := range files {
		if err == nil {
			err = shrink(f)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "shrink:", err)
		os.Exit(1)
	}
}

func shrink(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	from, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	bounds := from.Bounds()
	used := map[color.RGBA]int{}
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(from.At(x, y)).(color.RGBA) }
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			used[at(x, y)]++
		}
	}
	// The colours used most, ties by value, so that the same picture gives the
	// same file.
	list := slices.SortedFunc(maps.Keys(used), func(a, b color.RGBA) int {
		return cmp.Or(cmp.Compare(used[b], used[a]), cmp.Compare(number(a), number(b)))
	})
	palette := color.Palette{}
	for _, c := range list[:min(len(list), 256)] {
		palette = append(palette, c)
	}
	nearest := map[color.RGBA]uint8{}
	to := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := at(x, y)
			k, ok := nearest[c]
			if !ok {
				k = uint8(palette.Index(c))
				nearest[c] = k
			}
			to.SetColorIndex(x, y, k)
		}
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, to); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if out.Len() >= len(data) {
		return nil
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

func number(c color.RGBA) uint32 {
	return uint32(c.R)<<24 | uint32(c.G)<<16 | uint32(c.B)<<8 | uint32(c.A)
}
