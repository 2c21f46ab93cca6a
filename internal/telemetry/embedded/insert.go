package embedded

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"strings"
	"time"
)

// inserts are the prepared statements of the writer.
type inserts struct{ log, words, span, total *sql.Stmt }

func (i *inserts) prepare(ctx context.Context, db *sql.DB) error {
	for _, s := range []struct {
		into **sql.Stmt
		text string
	}{
		{&i.log, "INSERT INTO log VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"},
		{&i.words, "INSERT INTO log_words(rowid, body) VALUES (?,?)"},
		{&i.span, "INSERT INTO span VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"},
		{&i.total, "UPDATE total SET spans = spans + ?, logs = logs + ?"},
	} {
		var err error
		if *s.into, err = db.PrepareContext(ctx, s.text); err != nil { //nolint:sqlclosecheck // inserts.close does
			return err
		}
	}
	return nil
}

func (i *inserts) close() error {
	return errors.Join(i.log.Close(), i.words.Close(), i.span.Close(), i.total.Close())
}

// insert writes the rows in one transaction.
func (p *partition) insert(ctx context.Context, r *rows) error {
	tx, err := p.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	if err := insertSpans(ctx, tx.StmtContext(ctx, p.inserts.span), r.spans); err != nil {
		return err
	}
	if err := insertLogs(ctx, tx.StmtContext(ctx, p.inserts.log), tx.StmtContext(ctx, p.inserts.words), r.logs); err != nil {
		return err
	}
	total := tx.StmtContext(ctx, p.inserts.total) //nolint:sqlclosecheck // ends with the transaction
	if _, err := total.ExecContext(ctx, len(r.spans), len(r.logs)); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	p.held.spans.Add(int64(len(r.spans)))
	p.held.logs.Add(int64(len(r.logs)))
	return nil
}

func insertSpans(ctx context.Context, insert *sql.Stmt, spans []spanRow) error {
	var last slot
	for _, s := range spans {
		fields := []any{
			int64(0), int64(0), int64(s.Duration), s.Error, string(s.Kind), s.Service, packText(s.Instance), s.Operation,
			packID(s.TraceID), packID(s.SpanID), packID(s.ParentID), packText(s.StatusMessage),
			packJSON(len(s.Attributes), s.Attributes), packJSON(len(s.Exceptions), s.Exceptions),
		}
		if _, err := insertAt(ctx, insert, fields, s.at, s.Start, &last); err != nil {
			return err
		}
	}
	return nil
}

func insertLogs(ctx context.Context, insert, words *sql.Stmt, logs []logRow) error {
	var last slot
	for _, r := range logs {
		body := strings.ToValidUTF8(r.Body, "\uFFFD")
		fields := []any{
			int64(0), int64(0), int64(r.Observed.Sub(r.Time)), r.Severity, r.Service, packText(r.Instance), packText(r.Host),
			packID(r.TraceID), packID(r.SpanID), packJSON(len(r.Attributes), r.Attributes), body,
		}
		id, err := insertAt(ctx, insert, fields, r.at, r.Time, &last)
		if err != nil {
			return err
		}
		if _, err := words.ExecContext(ctx, id, body); err != nil {
			return err
		}
	}
	return nil
}

// slot is the id a row got for the time it asked for.
type slot struct{ at, id int64 }

// insertAt inserts a row, whose first two fields are id and shift, under its
// time or, where that is taken, a free id near it. The range grows with each
// try: a source may date any number of records alike. last is the row before.
func insertAt(ctx context.Context, insert *sql.Stmt, fields []any, at, event time.Time, last *slot) (int64, error) {
	id := at.UnixNano()
	if id == last.at {
		id = last.id + 1
	}
	for reach := int64(1 << 10); ; reach = min(reach<<2, 1<<40) {
		fields[0], fields[1] = id, event.UnixNano()-id
		result, err := insert.ExecContext(ctx, fields...)
		if err != nil {
			return 0, err
		}
		if n, err := result.RowsAffected(); err != nil || n == 1 {
			*last = slot{at: at.UnixNano(), id: id}
			return id, err
		}
		id = at.UnixNano() + rand.Int64N(reach)
	}
}
