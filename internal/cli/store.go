package cli

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/api/form"
)

func (s *session) store() *cobra.Command {
	return group("store", "The record as a whole: copies and damage", "  homeostat store backup homeostat.backup", s.storeBackup(), s.storeCheck())
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
