package store

import "context"

type awaitedKey struct{}

// Awaited marks what is done under the context as awaited: a person or a sender
// waits for it to be durable. Engines let such updates go before those of the
// stages behind, which wait on disk.
func Awaited(ctx context.Context) context.Context {
	return context.WithValue(ctx, awaitedKey{}, true)
}

// IsAwaited reports whether somebody waits for what is done under the context.
func IsAwaited(ctx context.Context) bool {
	return ctx.Value(awaitedKey{}) != nil
}
