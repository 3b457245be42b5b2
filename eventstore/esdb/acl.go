package esdb

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
)

// The stream that holds the default ACL, and the type of its events. The server
// takes the last event there for its settings, whatever its type; this one is
// what its own clients write.
const (
	settingsStream = "$settings"
	settingsType   = "$settings"
)

// The names that the server gives a meaning to.
const (
	// Admins is the group that passes every ACL, and Admin its first member.
	Admins = "$admins"
	Admin  = "admin"
	// Everyone is any user, and with anonymous access anybody.
	Everyone = "$all"
)

// Roles are users and groups. Nil says nothing, so that the next ACL decides;
// an empty list allows nobody but $admins.
type Roles []string

// UnmarshalJSON reads a name, or a list of names.
func (r *Roles) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil && !bytes.Equal(data, []byte("null")) {
		*r = Roles{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(data, &many); err != nil {
		return err
	}
	if many == nil {
		return errors.New("null is neither a name nor a list of names")
	}
	*r = many
	return nil
}

// MarshalJSON writes a single name as the server does: without a list.
func (r Roles) MarshalJSON() ([]byte, error) {
	if len(r) == 1 {
		return json.Marshal(r[0])
	}
	return json.Marshal([]string(r))
}

// Same reports whether both name the same, in whatever order.
func (r Roles) Same(other Roles) bool {
	return r.includes(other) && other.includes(r) && (r == nil) == (other == nil)
}

func (r Roles) includes(other Roles) bool {
	return !slices.ContainsFunc(other, func(name string) bool { return !slices.Contains(r, name) })
}

// Allow reports whether a user is named, or everyone is. Groups that the user
// may be in are not known here; see Rights.
func (r Roles) Allow(user string) bool {
	return slices.Contains(r, user) || slices.Contains(r, Everyone)
}

// ACL says who may do what with a stream.
type ACL struct {
	Read      Roles `json:"$r,omitzero"`
	Write     Roles `json:"$w,omitzero"`
	Delete    Roles `json:"$d,omitzero"`
	MetaRead  Roles `json:"$mr,omitzero"`
	MetaWrite Roles `json:"$mw,omitzero"`
}

// Same reports whether both say the same.
func (a ACL) Same(b ACL) bool {
	return a.Read.Same(b.Read) && a.Write.Same(b.Write) && a.Delete.Same(b.Delete) &&
		a.MetaRead.Same(b.MetaRead) && a.MetaWrite.Same(b.MetaWrite)
}

// over fills what an ACL leaves open from another.
func (a ACL) over(b ACL) ACL {
	for _, r := range []struct {
		mine  *Roles
		other Roles
	}{{&a.Read, b.Read}, {&a.Write, b.Write}, {&a.Delete, b.Delete}, {&a.MetaRead, b.MetaRead}, {&a.MetaWrite, b.MetaWrite}} {
		if *r.mine == nil {
			*r.mine = r.other
		}
	}
	return a
}

// DefaultACL holds for the streams of a cluster that have no ACL of their own.
type DefaultACL struct {
	// User is for the streams of users, System for those of the server, whose
	// names begin with $. The whole log, $all, is one of these.
	User   ACL `json:"$userStreamAcl"`
	System ACL `json:"$systemStreamAcl"`
}

// Same reports whether both say the same.
func (d DefaultACL) Same(other DefaultACL) bool {
	return d.User.Same(other.User) && d.System.Same(other.System)
}

func only(names ...string) ACL {
	return ACL{Read: names, Write: names, Delete: names, MetaRead: names, MetaWrite: names}
}

// ServerDefault is in force where nobody has written another.
func ServerDefault() DefaultACL { return DefaultACL{User: only(Everyone), System: only(Admins)} }

// LedgerACL lets users read and append, and nobody but $admins delete streams,
// cut them off, or change what is said of them. To read the whole log, from
// which everything is projected, is a right on a stream of the server's own.
func LedgerACL(users ...string) DefaultACL {
	d := DefaultACL{User: only(Admins), System: only(Admins)}
	named := append(Roles{Admins}, users...)
	d.User.Read, d.User.Write, d.System.Read = named, named, named
	return d
}

// Settings are what a cluster says of its streams.
type Settings struct {
	// ACL is in force.
	ACL DefaultACL
	// Written says that somebody has written it; otherwise it is the server's.
	Written bool
	// Fault says why the server cannot read what was written: it then applies
	// its own default.
	Fault error

	expected eventstore.ExpectedRevision
}

// Settings reads the default ACL. ErrDenied says that the user of the
// connection may not.
func (s *Store) Settings(ctx context.Context) (Settings, error) {
	r := streamRead(settingsStream, eventstore.LastRevision, eventstore.Backwards)
	r.limit = 1
	found := Settings{ACL: ServerDefault(), expected: eventstore.NoStream}
	for e, err := range s.raw(ctx, r) {
		switch {
		case errors.Is(err, eventstore.ErrStreamNotFound):
			return found, nil
		case err != nil:
			return found, err
		}
		found.Written, found.expected = true, eventstore.Exactly(eventstore.Revision(e.EventNumber))
		if acl, err := parseSettings(e.Data); err != nil {
			found.Fault = err
		} else {
			found.ACL = acl
		}
	}
	return found, nil
}

// parseSettings reads them as the server does: what is left open is as in its
// default, and an ACL with a key that it does not know is not read at all.
func parseSettings(data []byte) (DefaultACL, error) {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(data, &parts); err != nil {
		return DefaultACL{}, fmt.Errorf("the settings are not a JSON object: %w", err)
	}
	d := ServerDefault()
	for _, part := range []struct {
		name string
		into *ACL
	}{{"$userStreamAcl", &d.User}, {"$systemStreamAcl", &d.System}} {
		if parts[part.name] == nil {
			continue
		}
		var acl ACL
		decoder := json.NewDecoder(bytes.NewReader(parts[part.name]))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&acl); err != nil || bytes.Equal(parts[part.name], []byte("null")) {
			return DefaultACL{}, fmt.Errorf("%s is not an ACL: %w", part.name, cmp.Or(err, errors.New("it is null")))
		}
		*part.into = acl.over(*part.into)
	}
	return d, nil
}

// SetDefaultACL puts a default ACL in the place of settings that were read.
// ErrDenied says that the user of the connection is not one of $admins, a
// *eventstore.WrongExpectedRevisionError that somebody has written since.
//
// It is appended as JSON of ours: the client's own way to write ACLs loses what
// it cannot express, and its way to read them fails at two names for one right.
func (s *Store) SetDefaultACL(ctx context.Context, was Settings, acl DefaultACL) error {
	data, err := json.Marshal(acl)
	if err != nil {
		return fmt.Errorf("encode the default ACL: %w", err)
	}
	event := client.EventData{EventID: uuid.New(), EventType: settingsType, ContentType: client.ContentTypeJson, Data: data}
	_, err = ask(ctx, s, "write the default ACL", func(ctx context.Context, m *member) (*client.WriteResult, error) {
		return m.AppendToStream(ctx, settingsStream, client.AppendToStreamOptions{ExpectedRevision: toExpected(was.expected)}, event)
	})
	if means, _ := judge(err); err != nil && means == conflicted {
		return &eventstore.WrongExpectedRevisionError{Stream: settingsStream, Expected: was.expected, Actual: "another revision"}
	}
	return err
}
