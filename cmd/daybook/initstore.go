package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/esdb"
)

// initialised is what init-store found and did.
type initialised struct {
	// Before was in force, the server's own default if nobody had written one.
	Before        esdb.DefaultACL `json:"before"`
	BeforeWritten bool            `json:"before_written"`
	// BeforeFault is why the server could not read what was there.
	BeforeFault string          `json:"before_fault,omitempty"`
	Wanted      esdb.DefaultACL `json:"wanted"`
	// Written says that it is in force by this command; if not, that was so
	// before, or it was only asked what would be done.
	Written bool `json:"written"`
	// Enforced says that the connection is one on which a server enforces it.
	Enforced bool `json:"enforced"`

	settings esdb.Settings
}

// initTimeout bounds the command.
const initTimeout = 30 * time.Second

func initStoreCommand() *cobra.Command {
	var output string
	var users []string
	var force, dryRun bool
	cmd := &cobra.Command{
		Use: "init-store --user NAME", Short: "Take from daybook's user on a cluster the right to alter history", Args: noArgs,
		Long: "Writes the default ACL of an EventStoreDB or KurrentDB cluster: the users named may read and append, the\n" +
			"whole log included, and nobody but $admins delete streams, cut them off or change their ACLs. Run it once,\n" +
			"with an EVENTSTORE_URL of one of $admins; daybook itself then connects as a user named here. The ACL binds\n" +
			"every stream of the cluster that has none of its own: name everybody who shares it. It shows what was in\n" +
			"force before, does nothing if that is as wanted, and replaces what others have written only with --force.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(checkOutput(output), checkUsers(users)); err != nil {
				return &usageError{err}
			}
			done, err := initStore(cmd, users, force, dryRun)
			if done != nil {
				if err := done.report(cmd, output); err != nil {
					return err
				}
			}
			return err
		},
	}
	addOutputFlag(cmd, &output)
	cmd.Flags().StringSliceVar(&users, "user", nil, "who may read and append: users or groups, comma-separated")
	cmd.Flags().BoolVar(&force, "force", false, "replace a default ACL that somebody else has written")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only show what would be done")
	return cmd
}

// roleName is what a user or a group may be called. The names that the server
// gives a meaning to begin with $, and are none of them to be limited.
var roleName = regexp.MustCompile(`^[^$\s"][^\s"]*$`)

func checkUsers(users []string) error {
	if len(users) == 0 {
		return errors.New("--user is missing: want the user that daybook connects as, for example --user daybook")
	}
	for _, user := range users {
		switch {
		case !roleName.MatchString(user):
			return fmt.Errorf("--user %q: want the name of a user or of a group of yours", user)
		case user == esdb.Admin:
			return fmt.Errorf("--user %s: this user passes every ACL; make another one for daybook", user)
		}
	}
	return nil
}

// initStore does it. What was found comes with an error too, if it was found.
func initStore(cmd *cobra.Command, users []string, force, dryRun bool) (*initialised, error) {
	cfg, err := loadConfig(cmd, false)
	if err != nil {
		return nil, err
	}
	if storeKind(cfg) != clusterKind {
		return nil, usagef("EVENTSTORE_URL is not set: the embedded store belongs to whoever owns its file, and needs no ACL")
	}
	store, err := openCluster(cfg, nil)
	if err != nil {
		return nil, err
	}
	defer store.Close() //nolint:errcheck // nothing waits to be written
	ctx, cancel := context.WithTimeout(cmd.Context(), initTimeout)
	defer cancel()
	settings, err := store.Settings(ctx)
	if err != nil {
		return nil, adminsOnly(store, err)
	}
	done := &initialised{Before: settings.ACL, BeforeWritten: settings.Written, Wanted: esdb.LedgerACL(users...),
		Enforced: store.Secure(), settings: settings}
	if settings.Fault != nil {
		done.BeforeFault = settings.Fault.Error()
	}
	switch {
	case done.asWanted(), dryRun:
		return done, nil
	case done.foreign() && !force:
		return done, errors.New("somebody has written the default ACL above: with --force it is replaced by what is wanted")
	}
	if err := store.SetDefaultACL(ctx, settings, done.Wanted); err != nil {
		return done, adminsOnly(store, err)
	}
	done.Written = true
	return done, nil
}

// asWanted reports that nothing is to be done.
func (d *initialised) asWanted() bool { return d.settings.Fault == nil && d.Before.Same(d.Wanted) }

// foreign reports an ACL that somebody has meant: neither the server's own nor
// what is wanted.
func (d *initialised) foreign() bool {
	return d.BeforeWritten && (d.settings.Fault != nil || !d.Before.Same(esdb.ServerDefault()))
}

// adminsOnly says who may do it, where that is the trouble.
func adminsOnly(store *esdb.Store, err error) error {
	switch {
	case errors.Is(err, esdb.ErrDenied):
		return fmt.Errorf("%w: run this with an EVENTSTORE_URL of one of %s, not of %s", err, esdb.Admins, orDash(store.User()))
	case eventstore.IsConflict(err):
		return errors.New("somebody else wrote the default ACL at the same time: run this again and see what it is")
	}
	return err
}

func (d *initialised) report(cmd *cobra.Command, output string) error {
	if output == outputJSON {
		return writeJSON(cmd.OutOrStdout(), d)
	}
	rows := newTable(cmd.OutOrStdout(), "STREAMS", "RIGHT", "BEFORE", "WANTED")
	for _, part := range []struct {
		streams        string
		before, wanted esdb.ACL
	}{{"of users", d.Before.User, d.Wanted.User}, {"of the server, the whole log among them", d.Before.System, d.Wanted.System}} {
		b, w := part.before, part.wanted
		for _, right := range []struct {
			name           string
			before, wanted esdb.Roles
		}{{"read", b.Read, w.Read}, {"append", b.Write, w.Write}, {"delete", b.Delete, w.Delete},
			{"read metadata", b.MetaRead, w.MetaRead}, {"cut off, change ACL", b.MetaWrite, w.MetaWrite}} {
			rows.row(part.streams, right.name, rolesText(right.before), rolesText(right.wanted))
			part.streams = ""
		}
	}
	if err := rows.flush(); err != nil {
		return err
	}
	cmd.Println(d.verdict())
	return nil
}

// verdict says in a sentence or two what came of it.
func (d *initialised) verdict() string {
	var said []string
	if d.BeforeFault != "" {
		said = append(said, "The server cannot read what was written, and applies its own default: "+d.BeforeFault+".")
	}
	switch {
	case d.Written:
		said = append(said, "Written, and in force at once for every stream of the cluster that has no ACL of its own.")
	case d.asWanted():
		said = append(said, "It is as wanted; nothing was written.")
	default:
		said = append(said, "Nothing was written.")
	}
	if !d.Enforced {
		said = append(said, "This connection has no TLS: such a server enforces nothing, whatever is written.")
	}
	return strings.Join(said, " ")
}

// rolesText shows roles to people.
func rolesText(r esdb.Roles) string {
	if len(r) == 0 {
		return esdb.Admins // who pass every ACL
	}
	return strings.Join(slices.Sorted(slices.Values(r)), ", ")
}
