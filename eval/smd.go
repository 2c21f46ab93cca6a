package main

import "context"

func runSMD8(_ context.Context, dir string) (result, error) {
	_, err := folder(dir, "smd8")
	return result{}, err
}
