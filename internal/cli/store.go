package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/api/form"
)

func (s *session) store() *cobra.Command {
	return group("store", "The record as a whole: copies, damage, migration", "  homeostat store backup homeostat.backup", s.storeBackup(), s.storeCheck(), s.storeMigrate())
}

func (s *session) storeBackup() *cobra.Command {
	return &cobra.Command{
		Use: "backup <file>", Short: "Write a consistent copy of the store to a new file", Args: cobra.ExactArgs(1),
		Long: "Write a consistent copy of the store to a new file, while the server works. A copy of the\n" +
			"embedded store is a database file: to restore it, stop the server and put the copy in the\n" +
			"place of homeostat.db in its data directory. The copy holds everything; keep it as you\n" +
			"keep the server.",
		Example: "  homeostat store backup homeostat-$(date +%F).backup",
		RunE: func(c *cobra.Command, args []string) (err error) {
			api, err := s.client()
			if err != nil {
				return err
			}
			f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return wrong("%v", err)
			}
			err = api.stream(c.Context(), "/store/backup", nil, f)
			if err == nil {
				err = f.Sync()
			}
			if err = errors.Join(err, f.Close()); err != nil {
				_ = os.Remove(args[0]) // a part is not a copy
				return err
			}
			info, err := os.Stat(args[0])
			if err != nil {
				return err
			}
			out := struct {
				File  string `json:"file"`
				Bytes int64  `json:"bytes"`
			}{args[0], info.Size()}
			return s.show(out, func(p *page) { p.line("%s holds the store as it was just now, %d bytes", out.File, out.Bytes) })
		},
	}
}

func (s *session) storeMigrate() *cobra.Command {
	c := &cobra.Command{
		Use: "migrate", Short: "Bring the store to this version's schema, or move it to PostgreSQL", Args: cobra.NoArgs,
		Long: "Brings the store of the configuration to this version's schema, after a copy, as the start of\n" +
			"a server would; needs no server. With --from it also copies an embedded store, whose server is\n" +
			"stopped, into the store of the configuration, which must be empty: so a record moves to the\n" +
			"database in store.dsn.",
		Example: "  homeostat store migrate --config /etc/homeostat.yaml\n  homeostat store migrate --config /etc/homeostat.yaml --from homeostat-data/homeostat.db",
	}
	file := configFlag(c)
	from := c.Flags().String("from", "", "file of the embedded store to copy")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if s.local.StoreMigrate == nil {
			return wrong("this command has no store")
		}
		path, named := file()
		out := struct {
			Tables  int   `json:"tables"`
			Records int64 `json:"records"`
		}{}
		copied := map[string]int64{}
		err := s.local.StoreMigrate(c.Context(), path, named, *from, func(table string, records int64) {
			if _, known := copied[table]; !known || records%progressEvery == 0 {
				fmt.Fprintf(s.stderr, "copying %s: %d records\n", table, records)
			}
			copied[table] = records
		})
		if err != nil {
			return &failure{code: ExitFailed, text: err.Error()}
		}
		for _, n := range copied {
			out.Tables++
			out.Records += n
		}
		return s.show(out, func(p *page) {
			if *from == "" {
				p.line("the store has the schema of this version")
				return
			}
			p.line("copied %s of %s", count(int(out.Records), "record"), count(out.Tables, "table"))
		})
	}
	return c
}

// progressEvery is after how many records of a table progress is told.
const progressEvery = 10_000

func (s *session) storeCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "Read the whole store and look for damage", Args: cobra.NoArgs, Example: "  homeostat store check",
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := s.client()
			if err != nil {
				return err
			}
			var out form.StoreCheck
			if err := api.get(c.Context(), "/store/check", nil, &out); err != nil {
				return err
			}
			if err := s.show(out, func(p *page) { p.line("%s", out.Text) }); err != nil || out.OK {
				return err
			}
			return &failure{code: ExitFailed, text: "the store is damaged"}
		},
	}
}
