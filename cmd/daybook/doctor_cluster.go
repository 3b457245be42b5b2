package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daybookhq/daybook/eventstore/esdb"
)

// doctorPatience bounds the attempts to reach a cluster and to read it.
const doctorPatience = 5 * time.Second

// lookAtCluster reaches the cluster, and says what it is.
func lookAtCluster(ctx context.Context, p *patient) []finding {
	store, err := esdb.Open(p.cfg.EventStoreURL, esdb.Options{Prefix: p.cfg.StreamPrefix,
		ReadTimeout: doctorPatience, AppendTimeout: doctorPatience})
	if err != nil {
		return found(fault, "set EVENTSTORE_URL right", "%v", err)
	}
	p.store = store
	version, err := store.ServerVersion(ctx)
	if err != nil {
		return found(fault, "see that a node is up, and that EVENTSTORE_URL names it and trusts its certificate", "%v", err)
	}
	p.cluster = store
	if _, err := store.Settings(ctx); errors.Is(err, esdb.ErrUnauthenticated) {
		p.cluster = nil // whatever else was asked would be answered alike
		return found(fault, "set the user and the password of EVENTSTORE_URL right, or make the user", "the server does not accept the user %s", orDash(store.User()))
	}
	return lookAtFounding(ctx, p, "EventStoreDB or KurrentDB "+version)
}

// doAboutReading is what to do about a store that could not be read.
func doAboutReading(p *patient, err error) string {
	if errors.Is(err, esdb.ErrDenied) {
		return fmt.Sprintf("have one of %s run daybook init-store --user %s: to read the whole log is not everybody's right", esdb.Admins, p.cluster.User())
	}
	return "see that the store can be reached"
}

// grave is a fault where real money is, and a note elsewhere.
func (p *patient) grave() grade {
	if p.cfg.Livemode {
		return fault
	}
	return note
}

// lookAtRights asks the server whether history can be altered with our user.
func lookAtRights(ctx context.Context, p *patient) []finding {
	rights, err := p.cluster.Rights(ctx)
	user := p.cluster.User()
	limit := fmt.Sprintf("have one of %s run daybook init-store --user %s", esdb.Admins, user)
	switch {
	case err != nil:
		return found(fault, doAboutReading(p, err), "%v", err)
	case !rights.Any():
		return found(fine, "", "%s can neither delete nor cut off streams, nor change the default ACL", orDash(user))
	case !p.cluster.Secure():
		return found(p.grave(), "run the cluster with certificates, connect by TLS with a user, and run daybook init-store",
			"the connection has no TLS, and the server enforces nothing: whoever reaches it may read, append and delete everything")
	case rights.Settings:
		return found(p.grave(), "make a user of its own for daybook, outside "+esdb.Admins+", and run daybook init-store for it",
			"%s passes every ACL: what was recorded can be deleted with its password", orDash(user))
	}
	var may []string
	if rights.Delete {
		may = append(may, "delete streams")
	}
	if rights.MetaWrite {
		may = append(may, "cut streams off and change their ACLs")
	}
	return found(p.grave(), limit, "%s may %s", orDash(user), strings.Join(may, " and "))
}

// lookAtDefaultACL compares the cluster's default with what a ledger needs. It
// says why the rights are what they are, and who else has them.
func lookAtDefaultACL(ctx context.Context, p *patient) []finding {
	settings, err := p.cluster.Settings(ctx)
	user := p.cluster.User()
	write := fmt.Sprintf("have one of %s run daybook init-store --user %s", esdb.Admins, orDash(user))
	switch {
	case errors.Is(err, esdb.ErrDenied):
		return found(p.grave(), write, "%s may not read it", orDash(user))
	case err != nil:
		return found(fault, doAboutReading(p, err), "%v", err)
	case settings.Fault != nil:
		return found(p.grave(), write+" --force", "the server cannot read what was written, and applies its own default: %v", settings.Fault)
	case !p.cluster.Secure():
		return found(note, "", "it is %s; without TLS it is not enforced", origin(settings))
	}
	others := slices.DeleteFunc(altering(settings.ACL), func(name string) bool { return name == esdb.Admins })
	switch {
	case slices.Contains(others, esdb.Everyone) || slices.Contains(others, user):
		return found(p.grave(), write, "%s lets %s alter history", origin(settings), strings.Join(others, ", "))
	case !names(settings.ACL, user):
		return found(note, write+", unless it is in one of the groups", "%s does not name %s among those who read, append and read the whole log", origin(settings), orDash(user))
	case len(others) > 0:
		return found(note, "see that they are meant", "%s lets %s alter history besides %s", origin(settings), strings.Join(others, ", "), esdb.Admins)
	}
	return found(fine, "", "%s leaves deleting and cutting off to %s", origin(settings), esdb.Admins)
}

func origin(s esdb.Settings) string {
	if s.Written {
		return "the one that was written"
	}
	return "the server's own"
}

// names reports whether an ACL lets a user do what daybook does: by name, for
// groups are not known here, and the admin needs no naming.
func names(acl esdb.DefaultACL, user string) bool {
	return user == esdb.Admin || acl.User.Read.Allow(user) && acl.User.Write.Allow(user) && acl.System.Read.Allow(user)
}

// altering names who may alter the history of streams.
func altering(acl esdb.DefaultACL) []string {
	all := slices.Concat(acl.User.Delete, acl.User.MetaWrite, acl.System.Write, acl.System.Delete, acl.System.MetaWrite)
	slices.Sort(all)
	return slices.Compact(all)
}

func lookAtProjections(ctx context.Context, p *patient) []finding {
	running, err := p.cluster.StandardProjections(ctx)
	switch {
	case err != nil:
		return found(note, "", "could not be learnt: %v", err)
	case len(running) > 0:
		return found(note, "stop them, unless somebody else on the cluster needs them",
			"%s run: daybook needs none of them, and each writes a link for every event", strings.Join(running, ", "))
	}
	return found(fine, "", "none of the server's own runs, and none is needed")
}
