package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/cmd/daybook/config"
	"github.com/daybookhq/daybook/eventstore/esdb"
	storesqlite "github.com/daybookhq/daybook/eventstore/sqlite"
	"github.com/daybookhq/daybook/intake/stripeapi"
)

// checks is all that doctor looks at, in this order. One more is one more line.
var checks = []check{
	{"configuration", always, lookAtConfiguration},
	{"data dir", configured, lookAtDataDir},
	{"disk", configured, lookAtDisk},
	{"store", configured, lookAtStore},
	{"integrity", embedded, lookAtIntegrity},
	{"rights", onCluster, lookAtRights},
	{"default ACL", onCluster, lookAtDefaultACL},
	{"server projections", onCluster, lookAtProjections},
	{"read model", founding, lookAtModel},
	{"failures", modelled, lookAtFailures},
	{"catalog", modelled, lookAtCatalog},
	{"redis", publishes, lookAtRedis},
	{"stripe key", asksStripe, lookAtStripeKey},
	{"endpoint", reachesStripe, lookAtEndpoint},
	{"clock", hearsClocks, lookAtClock},
}

// check is one thing to look at.
type check struct {
	name string
	// applies says whether there is such a thing here, and if so, what is missing
	// to look at it, empty for nothing.
	applies func(*patient) (here bool, missing string)
	look    func(context.Context, *patient) []finding
}

// grade says how a finding is to be taken.
type grade string

// The grades. Only a fault makes doctor end with 1.
const (
	fine  grade = "ok"
	note  grade = "note"
	fault grade = "fault"
)

// finding is what a check says.
type finding struct {
	Check string `json:"check"`
	Grade grade  `json:"grade"`
	Found string `json:"found"`
	// Do is what to do about it, empty for nothing.
	Do string `json:"do,omitempty"`
}

// found words a finding; do may be empty.
func found(g grade, do, format string, args ...any) []finding {
	return []finding{{Grade: g, Found: fmt.Sprintf(format, args...), Do: do}}
}

// patient is what the checks look at. It is opened by them as they go.
type patient struct {
	cmd *cobra.Command
	// quick leaves out what reads the whole history.
	quick bool
	cfg   *config.Config
	// faults are the configuration's; usable says that cfg is good all the same,
	// for everything but receiving webhooks.
	faults config.Faults
	usable bool

	record
	// file and cluster are the store, by its kind; nil until it was reached.
	file    *storesqlite.Reader
	cluster *esdb.Store
	founded bool
	// stripe asks Stripe, nil until it has answered.
	stripe *stripeapi.Client
	// skews are how far our clock is from others, as far as these were heard.
	skews []skew
}

func always(*patient) (bool, string) { return true, "" }

func configured(p *patient) (bool, string) {
	return true, unless(p.usable, "the configuration is wrong")
}

func embedded(p *patient) (bool, string) {
	return p.usable && storeKind(p.cfg) == embeddedKind, unless(p.file != nil, "there is no store to read")
}

func onCluster(p *patient) (bool, string) {
	return p.usable && storeKind(p.cfg) == clusterKind, unless(p.cluster != nil, "the event store could not be asked")
}

func founding(p *patient) (bool, string) {
	return true, unless(p.founded, "there is no store to compare it with")
}

func modelled(p *patient) (bool, string) {
	return true, unless(p.model != nil, "there is no read model")
}

func unless(there bool, missing string) string {
	if there {
		return ""
	}
	return missing
}

func doctorCommand() *cobra.Command {
	var output string
	var quick bool
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look for what is wrong, and say what to do about it", Args: noArgs,
		Long: "Looks at the configuration, the data dir, the disk, the store, who may alter its history, the read model and\n" +
			"the catalog; and, where they are configured, at Redis, at the key and the endpoint at Stripe, and at how far the\n" +
			"clocks are apart. It says what to do about each finding, changes nothing and works beside a running server.\n" +
			"Exits 1 if a finding is a fault.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			p := &patient{cmd: cmd, quick: quick}
			defer p.close()
			return report(cmd, output, p.examine(cmd.Context()))
		},
	}
	addOutputFlag(cmd, &output)
	cmd.Flags().BoolVar(&quick, "quick", false, "leave out what reads the whole history: the file's integrity, and prices")
	return cmd
}

// examine goes through the checks.
func (p *patient) examine(ctx context.Context) []finding {
	var all []finding
	for _, c := range checks {
		here, missing := c.applies(p)
		if !here {
			continue
		}
		findings := found(note, "", "not looked at: %s", missing)
		if missing == "" {
			findings = c.look(ctx, p)
		}
		for _, f := range findings {
			f.Check = c.name
			all = append(all, f)
		}
	}
	return all
}

// lookAtConfiguration also makes the configuration that the others look with:
// a signing secret may well be missing where doctor runs.
func lookAtConfiguration(_ context.Context, p *patient) []finding {
	cfg, err := loadConfig(p.cmd, true)
	errors.As(err, &p.faults)
	p.cfg, p.usable = cfg, err == nil
	if err != nil {
		if lenient, err := loadConfig(p.cmd, false); err == nil {
			p.cfg, p.usable = lenient, true
		}
	}
	var all []finding
	for _, f := range p.faults {
		do := "set it right"
		if f.Example != "" {
			do += ", for example " + f.Name + "=" + f.Example
		}
		all = append(all, finding{Grade: fault, Found: f.Name + ": " + f.Problem, Do: do})
	}
	for _, w := range cfg.Warnings {
		all = append(all, finding{Grade: note, Found: w, Do: "unset it, or look for a misspelling"})
	}
	if len(all) > 0 {
		return all
	}
	return found(fine, "", "%d settings, none wrong; daybook config prints them", len(cfg.Settings()))
}

func report(cmd *cobra.Command, output string, all []finding) error {
	faults := 0
	for _, f := range all {
		if f.Grade == fault {
			faults++
		}
	}
	var err error
	if output == outputJSON {
		err = writeJSON(cmd.OutOrStdout(), map[string]any{"findings": all, "faults": faults})
	} else {
		err = printFindings(cmd, all, faults)
	}
	if err == nil && faults > 0 {
		return errReported
	}
	return err
}

func printFindings(cmd *cobra.Command, all []finding, faults int) error {
	rows := newTable(cmd.OutOrStdout(), "CHECK", "GRADE", "FOUND")
	for _, f := range all {
		mark := string(f.Grade)
		if f.Grade == fault {
			mark = strings.ToUpper(mark)
		}
		rows.row(f.Check, mark, f.Found)
		if f.Do != "" {
			rows.row("", "", "→ "+f.Do)
		}
	}
	if err := rows.flush(); err != nil {
		return err
	}
	switch faults {
	case 0:
		cmd.Println("no fault was found")
	case 1:
		cmd.Println("1 fault was found")
	default:
		cmd.Printf("%d faults were found\n", faults)
	}
	return nil
}
