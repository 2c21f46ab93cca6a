package store

// Far is a transaction of a store that is asked over a network. Whoever is
// about to read several things can have them asked for at once; it changes
// nothing but the time that takes.
type Far interface {
	// Knows reports whether the record can be read, or is known to be absent,
	// without asking.
	Knows(table Table, key string) bool

	// Ahead asks for what will be read next in the same transaction.
	Ahead(reads ...Read) error
}

// Read is a record by its key, or a page.
type Read struct {
	Table Table
	Key   string
	Page  *Query // if it is not nil, the rest is of no interest
}
