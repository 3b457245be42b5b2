package main

import (
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/api"
	"github.com/daybookhq/daybook/cmd/daybook/config"
)

func configCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "config", Short: "Print the configuration in force, and where each value came from", Args: noArgs,
		Long: "Prints the configuration in force, secrets masked, and where each value came from; and,\n" +
			"of each signing secret, how many of the webhooks recorded in the last 24 hours it has\n" +
			"signed, so that an old one can be dropped once it signs none.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			cfg, err := loadConfig(cmd, true)
			signers, lookErr := lookForSigners(cmd.Context(), cfg, err == nil)
			if lookErr != nil {
				cmd.PrintErrln("which secret signs at present is not known:", lookErr)
			}
			if output == outputJSON {
				err = errors.Join(writeJSON(os.Stdout, configuration{cfg.Settings(), signers}), err)
			} else {
				err = errors.Join(config.WriteTable(os.Stdout, cfg.Settings()), signers.print(os.Stdout), err)
			}
			return err
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

// configuration is what config prints for a machine.
type configuration struct {
	Settings []config.Setting `json:"settings"`
	Signers  *signersOfDay    `json:"signers,omitempty"`
}

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "Make API keys", Args: noArgs, RunE: showHelp}
	cmd.AddCommand(newKeyCommand())
	return cmd
}

func newKeyCommand() *cobra.Command {
	var name, scopes, account string
	cmd := &cobra.Command{
		Use: "new", Short: "Make an API key and print it, once", Args: noArgs,
		Long: "Makes an API key and prints it, together with the entry for DAYBOOK_API_KEYS.\n" +
			"Only its SHA-256 is configured: the key itself is nowhere kept.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var wanted []api.Scope
			for _, s := range strings.FieldsFunc(scopes, func(r rune) bool { return r == ',' || r == '+' }) {
				wanted = append(wanted, api.Scope(strings.TrimSpace(s)))
			}
			key, line, err := api.NewKey(name, wanted, account)
			if err != nil {
				return &usageError{err}
			}
			cmd.Printf("key (shown once):   %s\nDAYBOOK_API_KEYS:   %s\n", key, line)
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "who uses the key; it stands in the audit record")
	cmd.Flags().StringVar(&scopes, "scopes", "read", "what it may do: read, audit, billing, admin; comma-separated")
	cmd.Flags().StringVar(&account, "account", "", "the one account it may see; empty for all")
	return cmd
}
