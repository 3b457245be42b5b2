package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/cmd/daybook/config"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/projections"
)

// checkedCatalog is what catalog check finds.
type checkedCatalog struct {
	// Catalog says which one was checked: a file, or "built-in".
	Catalog string `json:"catalog"`
	Hash    string `json:"hash,omitempty"`
	// InForce says that it is what the record has adopted last.
	InForce bool `json:"in_force"`
	// Faults are what makes it no catalog.
	Faults []string `json:"faults"`
	// Prices are those that history has, and where each maps.
	Prices []checkedPrice `json:"prices"`
	// UnmappedInUse counts those in use that map nowhere.
	UnmappedInUse int `json:"unmapped_in_use"`
}

// checkedPrice is a price as facts name it: one that Stripe has shown with another
// lookup key or product later is there twice.
type checkedPrice struct {
	Price     string `json:"price"`
	LookupKey string `json:"lookup_key,omitempty"`
	Product   string `json:"product,omitempty"`
	// Subscriptions counts those that ever had it, InUse those that have it now
	// and have not ended.
	Subscriptions int `json:"subscriptions"`
	InUse         int `json:"in_use"`
	aggregate.PriceMatch
}

func catalogCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "catalog", Short: "Check the plan catalog, or write one from Stripe", Args: noArgs, RunE: showHelp}
	cmd.AddCommand(catalogCheckCommand(), catalogImportCommand())
	return cmd
}

func catalogCheckCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "check [FILE]", Short: "Check a catalog, and show where each price of the history maps", Args: oneArgAtMost("FILE"),
		Long: "Checks a catalog file, by default the configured catalog, and shows for every price that the record has\n" +
			"seen which tier or add-on it stands for under it, and by which rule: first those that a subscription has\n" +
			"now, then those of the past, which only questions about the past still ask for. A price is listed once for\n" +
			"each lookup key and product that Stripe has shown it with. Nothing is changed. Exits 1 if the file has a\n" +
			"fault, or a price in use maps nowhere.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			checked, err := checkCatalog(cmd, args)
			if err != nil {
				return err
			}
			return checked.report(cmd, output)
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

func checkCatalog(cmd *cobra.Command, args []string) (checkedCatalog, error) {
	checked := checkedCatalog{Faults: []string{}, Prices: []checkedPrice{}}
	cfg, err := loadConfig(cmd, false)
	if err != nil {
		return checked, err
	}
	catalog := cfg.Catalog
	checked.Catalog = cmp.Or(strings.Join(args, ""), cfg.CatalogFile, "built-in")
	if len(args) > 0 {
		catalog, err = config.ReadCatalog(args[0])
		var faults aggregate.CatalogFaults
		if errors.As(err, &faults) {
			checked.Faults = faults
			return checked, nil
		}
		if err != nil {
			return checked, err
		}
	}
	checked.Hash = catalog.Hash()
	if err := storeExists(cmd.Context(), cfg); errors.Is(err, errNoStore) {
		return checked, nil // no history yet, and nothing that could map wrongly
	} else if err != nil {
		return checked, err
	}
	r, err := openRecord(cmd)
	if err != nil {
		return checked, err
	}
	defer r.close()
	bar := newProgress(cmd, "catalog check", 0)
	defer bar.finish()
	return checked, checked.lookUp(cmd.Context(), r, catalog, bar.tell)
}

// lookUp maps the prices of the record, with the mappings that it holds. It reads
// the whole history of the subscriptions.
func (c *checkedCatalog) lookUp(ctx context.Context, r *record, catalog *aggregate.Catalog, tell func(done, total int64)) error {
	history, _, err := readCatalogs(ctx, r.store)
	if err != nil {
		return err
	}
	c.InForce = history.CurrentHash() == c.Hash
	now := systemClock()
	inForce := history.With(aggregate.CatalogAdopted{Schema: aggregate.Schema, Hash: c.Hash, Catalog: catalog,
		AdoptedAt: history.NextAdoption(now)}).Current()
	seen, err := pricesSeen(ctx, r.store, tell)
	if err != nil {
		return err
	}
	inUse, err := pricesInUse(ctx, r.model)
	if err != nil {
		return err
	}
	for named := range inUse {
		if seen[named] == nil {
			seen[named] = map[string]bool{} // a model that is ahead of what was read
		}
	}
	for named, subscriptions := range seen {
		p := checkedPrice{Price: named.Price, LookupKey: named.LookupKey, Product: named.Product,
			Subscriptions: max(len(subscriptions), inUse[named]), InUse: inUse[named], PriceMatch: inForce.Match(named)}
		if p.InUse > 0 && p.Rule == "" {
			c.UnmappedInUse++
		}
		c.Prices = append(c.Prices, p)
	}
	slices.SortFunc(c.Prices, func(a, b checkedPrice) int {
		return cmp.Or(cmp.Compare(a.Price, b.Price), cmp.Compare(a.LookupKey, b.LookupKey), cmp.Compare(a.Product, b.Product))
	})
	return nil
}

// named is what of an item decides where it maps.
func named(item aggregate.Item) aggregate.Item {
	return aggregate.Item{Price: item.Price, LookupKey: item.LookupKey, Product: item.Product}
}

// pricesSeen lists the prices of all facts, each with the subscriptions that had
// it.
func pricesSeen(ctx context.Context, store eventstore.Reader, tell func(done, total int64)) (map[aggregate.Item]map[string]bool, error) {
	head, err := store.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the log's end: %w", err)
	}
	seen := map[aggregate.Item]map[string]bool{}
	filter := eventstore.Filter{Prefixes: []string{intake.SubscriptionCategory + "-"}}
	read := 0
	for e, err := range store.ReadAll(ctx, 0, eventstore.Forwards, filter, 0) {
		if err != nil {
			return nil, fmt.Errorf("read the subscriptions: %w", err)
		}
		var fact struct {
			Subscription *struct {
				Items []aggregate.Item `json:"items"`
			} `json:"subscription"`
		}
		if err := json.Unmarshal(e.Data, &fact); err != nil {
			return nil, fmt.Errorf("read %s at revision %d: %w", e.Stream, e.Revision, err)
		}
		if fact.Subscription != nil {
			for _, item := range fact.Subscription.Items {
				if seen[named(item)] == nil {
					seen[named(item)] = map[string]bool{}
				}
				seen[named(item)][e.Stream.ID()] = true
			}
		}
		if read++; read%1000 == 0 {
			tell(int64(e.Position), int64(head))
		}
	}
	return seen, nil
}

// pricesInUse counts the subscriptions that have a price now and have not ended.
func pricesInUse(ctx context.Context, model projections.Reader) (map[aggregate.Item]int, error) {
	const page = 1000
	inUse := map[aggregate.Item]int{}
	for after := ""; ; {
		rows, err := model.Subscriptions(ctx, projections.SubscriptionFilter{After: after, Limit: page})
		if err != nil {
			return nil, err
		}
		for _, s := range rows {
			if s.Status.Terminal() {
				continue
			}
			counted := map[aggregate.Item]bool{}
			for _, item := range s.Items {
				if n := named(item); !counted[n] {
					counted[n] = true
					inUse[n]++
				}
			}
		}
		if len(rows) < page {
			return inUse, nil
		}
		after = rows[len(rows)-1].ID
	}
}

func (c checkedCatalog) report(cmd *cobra.Command, output string) error {
	var err error
	if output == outputJSON {
		err = writeJSON(cmd.OutOrStdout(), c)
	} else {
		err = c.print(cmd)
	}
	if err == nil && len(c.Faults)+c.UnmappedInUse > 0 {
		return errReported
	}
	return err
}

func (c checkedCatalog) print(cmd *cobra.Command) error {
	for _, fault := range c.Faults {
		cmd.Println(fault)
	}
	if len(c.Faults) > 0 {
		cmd.Printf("%s: this catalog would be refused\n", counted(len(c.Faults), "fault"))
		return nil
	}
	inUse, past := c.split()
	if err := printPrices(cmd, "In use:", "UNMAPPED", inUse); err != nil {
		return err
	}
	if err := printPrices(cmd, "Of the past, as Stripe showed them then:", "unmapped", past); err != nil {
		return err
	}
	standing := "not in force"
	if c.InForce {
		standing = "in force"
	}
	cmd.Printf("%s: a valid catalog, %s; %s in use, %d of them without a place in it; %d of the past\n",
		c.Catalog, standing, counted(len(inUse), "price"), c.UnmappedInUse, len(past))
	return nil
}

// split tells the prices that subscriptions have now from those of the past.
func (c checkedCatalog) split() (inUse, past []checkedPrice) {
	for _, p := range c.Prices {
		if p.InUse > 0 {
			inUse = append(inUse, p)
		} else {
			past = append(past, p)
		}
	}
	return inUse, past
}

// printPrices prints a list under a title, and says unmapped of what has no place
// in the catalog.
func printPrices(cmd *cobra.Command, title, unmapped string, prices []checkedPrice) error {
	if len(prices) == 0 {
		return nil
	}
	defer cmd.Println()
	cmd.Println(title)
	rows := newTable(cmd.OutOrStdout(), "PRICE", "LOOKUP KEY", "PRODUCT", "IN USE", "EVER", "STANDS FOR", "BY")
	for _, p := range prices {
		place := unmapped
		switch {
		case p.Tier != "":
			place = "tier " + p.Tier
		case p.Addon != "":
			place = "add-on " + p.Addon
		}
		rows.row(p.Price, orDash(p.LookupKey), orDash(p.Product), p.InUse, p.Subscriptions, place, orDash(string(p.Rule)))
	}
	return rows.flush()
}
