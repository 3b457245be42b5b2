package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/cmd/daybook/config"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/reconcile"
	"github.com/daybookhq/daybook/intake/stripeapi"
)

func endpointCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "endpoint", Short: "Create and check the webhook endpoint at Stripe", Args: noArgs, RunE: showHelp}
	cmd.AddCommand(endpointCreateCommand(), endpointCheckCommand(), endpointTypesCommand())
	return cmd
}

// askStripe returns a client for a command that asks Stripe and leaves the store
// alone.
func askStripe(cmd *cobra.Command) (*stripeapi.Client, *config.Config, error) {
	cfg, err := loadConfig(cmd, false)
	if err != nil {
		return nil, nil, err
	}
	if cfg.StripeKey == "" {
		return nil, nil, reconcile.ErrNoKey
	}
	return newStripe(cfg), cfg, nil
}

func endpointCreateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "create URL", Short: "Create an endpoint for exactly the events that are used", Args: exactArgs("URL"),
		Long: "Creates a webhook endpoint at Stripe, for URL (as in https://billing.example.com/webhooks/stripe), for\n" +
			"exactly the events that are used and with a pinned API version, and prints its signing secret, which\n" +
			"Stripe tells only once: add it to STRIPE_WEBHOOK_SECRETS. Needs a STRIPE_API_KEY that may write webhook\n" +
			"endpoints.",
		RunE: func(cmd *cobra.Command, args []string) error {
			client, cfg, err := askStripe(cmd)
			if err != nil {
				return err
			}
			if err := checkEndpointURL(args[0], cfg.Livemode); err != nil {
				return err
			}
			existing, err := client.Endpoints(cmd.Context())
			if err != nil {
				return err
			}
			for _, e := range existing {
				if e.URL == args[0] {
					return fmt.Errorf("there is an endpoint for this URL already, %s: see daybook endpoint check", e.ID)
				}
			}
			e, err := client.CreateEndpoint(cmd.Context(), args[0], stripeapi.Version, intake.ToldTypes(cfg.Livemode))
			if err != nil {
				return err
			}
			cmd.Printf("endpoint:                  %s\nAPI version:               %s\nevents:                    %d types\nsecret (shown once):       %s\n",
				e.ID, e.APIVersion, len(e.EnabledEvents), e.Secret)
			return nil
		},
	}
}

// checkEndpointURL wants what Stripe can reach: in live mode by https alone.
func checkEndpointURL(text string, livemode bool) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || livemode) {
		return usagef("%q: want a URL that Stripe can reach, as in https://billing.example.com/webhooks/stripe", text)
	}
	return nil
}

// checkedEndpoint is what a check found.
type checkedEndpoint struct {
	ID         string   `json:"id"`
	URL        string   `json:"url"`
	Status     string   `json:"status"`
	APIVersion string   `json:"api_version,omitempty"`
	Faults     []string `json:"faults"`
}

// checkEndpoints checks the endpoint of a URL or, without one, those whose path is
// Daybook's. It returns how many there are in all.
func checkEndpoints(ctx context.Context, client *stripeapi.Client, cfg *config.Config, url string) (checked []checkedEndpoint, all int, err error) {
	endpoints, err := client.Endpoints(ctx)
	checked = []checkedEndpoint{}
	for _, e := range endpoints {
		if e.URL == url || url == "" && reconcile.OfDaybook(e) {
			checked = append(checked, checkedEndpoint{e.ID, e.URL, e.Status, e.APIVersion, append([]string{}, reconcile.CheckEndpoint(e, cfg.Livemode)...)})
		}
	}
	return checked, len(endpoints), err
}

func endpointCheckCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "check [URL]", Short: "Check the endpoints that Stripe has", Args: oneArgAtMost("URL"),
		Long: "Checks the webhook endpoint of URL, or those whose path is Daybook's: whether it is enabled, is sent every\n" +
			"event that is used and no other, and has an API version that can be read. Exits 1 if something is wrong.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			client, cfg, err := askStripe(cmd)
			if err != nil {
				return err
			}
			checked, all, err := checkEndpoints(cmd.Context(), client, cfg, strings.Join(args, ""))
			if err != nil {
				return err
			}
			return reportEndpoints(cmd, output, checked, all)
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

func reportEndpoints(cmd *cobra.Command, output string, checked []checkedEndpoint, all int) error {
	faults := 0
	for _, e := range checked {
		faults += len(e.Faults)
	}
	if output == outputJSON {
		if err := writeJSON(cmd.OutOrStdout(), map[string][]checkedEndpoint{"endpoints": checked}); err != nil {
			return err
		}
	} else {
		for _, e := range checked {
			cmd.Printf("%s %s\n", e.ID, e.URL)
			for _, f := range e.Faults {
				cmd.Printf("  %s\n", f)
			}
			if len(e.Faults) == 0 {
				cmd.Println("  all right")
			}
		}
	}
	if len(checked) == 0 {
		return fmt.Errorf("none of the %d endpoints at Stripe is Daybook's: make one with daybook endpoint create, or name its URL", all)
	}
	if faults > 0 {
		return errReported
	}
	return nil
}

func endpointTypesCommand() *cobra.Command {
	return &cobra.Command{
		Use: "types", Short: "List the types of event that are used", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, false)
			if err != nil {
				return err
			}
			for _, t := range intake.ToldTypes(cfg.Livemode) {
				cmd.Println(t)
			}
			return nil
		},
	}
}
