package config

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// delim parts nested keys; ours are flat, and no variable's name contains it.
const delim = "."

// maxSecretFile bounds what is read from a NAME_FILE.
const maxSecretFile = 64 * 1024

// defaultSource is where a value comes from that nobody has set.
const defaultSource = "default"

// values is what was given, before anything is checked.
type values struct {
	text     *koanf.Koanf
	source   map[string]string // by variable
	explicit map[string]bool   // set by anything but the default
	unread   map[string]bool   // its file could not be read
	dev      bool
	faults   Faults
	warnings []string
}

func (v *values) get(name string) string { return v.text.String(name) }

// collect merges the layers; a later one overrides an earlier one.
func collect(in Input) *values {
	v := &values{text: koanf.New(delim), source: map[string]string{}, explicit: map[string]bool{}, unread: map[string]bool{}}
	defaults := map[string]any{}
	for _, each := range variables {
		defaults[each.name] = each.fallback
		v.source[each.name] = defaultSource
	}
	v.merge(confmap.Provider(defaults, delim), nil)
	v.merge(environment(in.Environ), func(name string) string { return "env " + name })
	if in.Flags != nil {
		v.merge(changedFlags(in.Flags), func(name string) string { return "flag --" + flagOf(name) })
		v.dev, _ = in.Flags.GetBool(devFlag) // without the flag there is no development mode
	}
	v.readFiles()
	v.lookAtOthers(in.Environ)
	return v
}

// environment reads our variables; an empty one counts as not set.
func environment(environ []string) koanf.Provider {
	return env.Provider(delim, env.Opt{
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			if value == "" || !known(name) {
				return "", nil
			}
			return name, value
		},
	})
}

// changedFlags reads the flags that were given, under their variables' names.
func changedFlags(fs *pflag.FlagSet) koanf.Provider {
	names := map[string]string{}
	for _, v := range variables { // those that are standard have no flag, and are not found
		names[v.flag()] = v.name
		if v.secret {
			names[v.flag()+"-file"] = v.name + fileSuffix
		}
	}
	return posflag.ProviderWithFlag(fs, delim, nil, func(f *pflag.Flag) (string, any) {
		if !f.Changed {
			return "", nil
		}
		return names[f.Name], f.Value.String()
	})
}

// known reports a variable of ours, or the NAME_FILE of a secret one.
func known(name string) bool {
	return slices.ContainsFunc(variables, func(v variable) bool {
		return v.name == name || v.secret && v.name+fileSuffix == name
	})
}

// merge adds a layer. Within one, a secret and its file exclude each other;
// across layers, either replaces both.
func (v *values) merge(layer koanf.Provider, source func(name string) string) {
	given, err := layer.Read()
	if err != nil {
		v.faults = append(v.faults, Fault{Name: "configuration", Problem: err.Error()})
		return
	}
	for name := range given {
		if source == nil {
			continue
		}
		variable := strings.TrimSuffix(name, fileSuffix)
		v.source[variable], v.explicit[variable] = source(name), true
		if variable == name {
			v.text.Delete(name + fileSuffix)
			continue
		}
		v.text.Delete(variable)
		if _, both := given[variable]; both {
			v.faults = append(v.faults, Fault{Name: variable,
				Problem: "given both as a value and as a file (" + source(name) + "): want one of them"})
		}
	}
	if err := v.text.Load(confmap.Provider(given, delim), nil); err != nil {
		v.faults = append(v.faults, Fault{Name: "configuration", Problem: err.Error()})
	}
}

// readFiles replaces each NAME_FILE by what the file holds.
func (v *values) readFiles() {
	for _, each := range variables {
		path := v.get(each.name + fileSuffix)
		if !each.secret || path == "" {
			continue
		}
		content, err := readBounded(path, maxSecretFile)
		if err != nil {
			v.unread[each.name] = true
			v.faults = append(v.faults, Fault{Name: each.name + fileSuffix, Problem: err.Error(),
				Example: "/run/secrets/" + strings.ToLower(each.name)})
			continue
		}
		if err := v.text.Set(each.name, strings.TrimSpace(string(content))); err != nil {
			v.faults = append(v.faults, Fault{Name: each.name + fileSuffix, Problem: err.Error()})
		}
		v.source[each.name] += " (" + path + ")"
	}
}

// lookAtOthers refuses what this build cannot do, and names what it does not
// know: such a variable may be a misspelt one. It is no fault, because clusters
// put variables of their own into the environment of a service called daybook.
func (v *values) lookAtOthers(environ []string) {
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		plain := strings.TrimSuffix(name, fileSuffix)
		switch {
		case value == "" || known(name):
		case slices.Contains(unsupported, plain):
			v.faults = append(v.faults, Fault{Name: name,
				Problem: "not supported by this version: unset it"})
		case strings.HasPrefix(name, "DAYBOOK_"):
			v.warnings = append(v.warnings, name+" is set, but there is no such setting")
		}
	}
	slices.Sort(v.warnings)
}

// readBounded reads a file that must not be larger than limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return content, nil
}
