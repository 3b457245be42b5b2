package main

import "testing"

func TestExitCodes(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want int
	}{
		"no such command":     {[]string{"nosuch"}, exitUsage},
		"no such subcommand":  {[]string{"keys", "nosuch"}, exitUsage},
		"no such flag":        {[]string{"version", "--nosuch"}, exitUsage},
		"too many arguments":  {[]string{"version", "now"}, exitUsage},
		"too few arguments":   {[]string{"show", "account"}, exitUsage},
		"neither kind":        {[]string{"show", "invoice", "in_1"}, exitUsage},
		"wrong configuration": {[]string{"failures", "--livemode", "perhaps"}, exitUsage},
		"no store":            {[]string{"failures", "--data-dir", t.TempDir()}, exitFault},
		"version":             {[]string{"version"}, exitDone},
		"help":                {[]string{}, exitDone},
	} {
		t.Run(name, func(t *testing.T) {
			if got := run(t.Context(), test.args); got != test.want {
				t.Errorf("exit code %d, want %d", got, test.want)
			}
		})
	}
}
