package esdb_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/esdb"
	"github.com/daybookhq/daybook/eventstore/esdb/esdbtest"
	"github.com/daybookhq/daybook/eventstore/eventstoretest"
)

var app = esdbtest.User{Name: "daybook", Password: "p@ss:word/"}

// openAs opens the store as a user of a secure server.
func openAs(t testing.TB, server *esdbtest.Server, user string) *esdb.Store {
	t.Helper()
	s, err := esdb.Open(server.URLOf(user), esdb.Options{Prefix: "daybook."})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // the test looks at errors of its own closing
	return s
}

// guarded is a secure server with the default ACL of a ledger.
func guarded(t testing.TB) *esdbtest.Server {
	t.Helper()
	server := esdbtest.StartSecure(t, app)
	admin := openAs(t, server, esdb.Admin)
	was, err := admin.Settings(bounded(t))
	if err != nil || was.Written || !was.ACL.Same(esdb.ServerDefault()) {
		t.Fatalf("a new server has %+v, %v", was, err)
	}
	if err := admin.SetDefaultACL(bounded(t), was, esdb.LedgerACL(app.Name)); err != nil {
		t.Fatal(err)
	}
	return server
}

// TestConformanceOfALimitedUser runs the kit as a user who may only read and
// append: that is all a ledger needs.
func TestConformanceOfALimitedUser(t *testing.T) {
	t.Parallel()
	eventstoretest.Run(t, func(t *testing.T) eventstore.Store { return openAs(t, guarded(t), app.Name) })
}

func TestTheDefaultACLIsWhatWasWritten(t *testing.T) {
	t.Parallel()
	server := guarded(t)
	for _, user := range []string{esdb.Admin, app.Name} {
		found, err := openAs(t, server, user).Settings(bounded(t))
		if err != nil || !found.Written || found.Fault != nil || !found.ACL.Same(esdb.LedgerACL(app.Name)) {
			t.Errorf("%s reads %+v, %v", user, found, err)
		}
	}
}

// TestAServersDefaultIsNotEnough has a user begin on a new server: the whole
// log is not theirs to read.
func TestAServersDefaultIsNotEnough(t *testing.T) {
	t.Parallel()
	s := openAs(t, esdbtest.StartSecure(t, app), app.Name)
	if _, err := s.Append(bounded(t), "order-1", eventstore.NoStream, event()); err != nil {
		t.Errorf("append: %v", err)
	}
	_, head := s.Head(bounded(t))
	_, settings := s.Settings(bounded(t))
	for what, err := range map[string]error{"the log": head, "the settings": settings} {
		if !errors.Is(err, esdb.ErrDenied) || !errors.Is(err, eventstore.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestRightsAreThoseThatTheServerGrants(t *testing.T) {
	t.Parallel()
	server := guarded(t)
	insecure := open(t, esdbtest.Start(t), esdb.Options{Prefix: "daybook."})
	fresh := openAs(t, esdbtest.StartSecure(t, app), app.Name)
	for _, c := range []struct {
		what string
		s    *esdb.Store
		want esdb.Rights
	}{
		{"the ledger's user", openAs(t, server, app.Name), esdb.Rights{}},
		{"an admin", openAs(t, server, esdb.Admin), esdb.Rights{Delete: true, MetaWrite: true, Settings: true}},
		{"anybody without TLS", insecure, esdb.Rights{Delete: true, MetaWrite: true, Settings: true}},
		{"a user of a new server", fresh, esdb.Rights{Delete: true, MetaWrite: true}},
	} {
		if got, err := c.s.Rights(bounded(t)); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v: want %+v", c.what, got, err, c.want)
		}
	}
	if len(server.Streams()) != 1 {
		t.Errorf("asking has left %v", server.Streams())
	}
	if url := os.Getenv(serverVariable); url != "" {
		t.Run("Server", func(t *testing.T) { wantAsked(t, url) })
	}
}

// wantAsked asks a server that others use too what its user may do, which must
// leave nothing there.
func wantAsked(t *testing.T, url string) {
	t.Helper()
	s, err := esdb.Open(url, esdb.Options{Prefix: "daybook-test-" + uuid.NewString() + "."})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // it has nothing to tell
	rights, err := s.Rights(bounded(t))
	if err != nil || !s.Secure() && rights != (esdb.Rights{Delete: true, MetaWrite: true, Settings: true}) {
		t.Errorf("rights: %+v, %v", rights, err)
	}
	for _, err := range s.ReadStream(bounded(t), "rights-probe", 0, eventstore.Forwards, 1) {
		if !errors.Is(err, eventstore.ErrStreamNotFound) {
			t.Errorf("asking has left something: %v", err)
		}
	}
	if _, err := s.Settings(bounded(t)); err != nil && !errors.Is(err, esdb.ErrDenied) {
		t.Errorf("settings: %v", err)
	}
	if _, err := s.StandardProjections(bounded(t)); err != nil {
		t.Errorf("projections: %v", err)
	}
}

// TestHistoryIsNotTheUsersToAlter tries what the rights are about, past our own
// code.
func TestHistoryIsNotTheUsersToAlter(t *testing.T) {
	t.Parallel()
	server := guarded(t)
	fill(t, openAs(t, server, app.Name), "order-1", 3)
	bare := bareClient(t, server.URLOf(app.Name))
	cut := client.EventData{EventID: uuid.New(), EventType: "$metadata", ContentType: client.ContentTypeJson, Data: []byte(`{"$tb":3}`)}
	settings := client.EventData{EventID: uuid.New(), EventType: "$settings", ContentType: client.ContentTypeJson, Data: []byte(`{}`)}
	for what, try := range map[string]func() error{
		"delete": func() error {
			_, err := bare.DeleteStream(bounded(t), "daybook.order-1", client.DeleteStreamOptions{ExpectedRevision: client.Revision(2)})
			return err
		},
		"cut off": func() error {
			_, err := bare.AppendToStream(bounded(t), "$$daybook.order-1", client.AppendToStreamOptions{}, cut)
			return err
		},
		"settings": func() error {
			_, err := bare.AppendToStream(bounded(t), "$settings", client.AppendToStreamOptions{}, settings)
			return err
		},
	} {
		var denied *client.Error
		if err := insisting(try); !errors.As(err, &denied) || denied.Code() != client.ErrorCodeAccessDenied {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := server.Streams(); len(got["daybook.order-1"]) != 3 || len(got) != 2 {
		t.Errorf("the server holds %v", got)
	}
}

// insisting asks again while a refusal shows as no more than the end of the
// stream.
func insisting(try func() error) error {
	for {
		err := try()
		var e *client.Error
		if !errors.As(err, &e) || e.Code() != client.ErrorCodeUnknown {
			return err
		}
	}
}

func TestAWrongPasswordIsSaid(t *testing.T) {
	t.Parallel()
	server := esdbtest.StartSecure(t, app)
	s, err := esdb.Open(strings.Replace(server.URLOf(app.Name), "word", "wort", 1), esdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // it has nothing to tell
	if _, err := s.Head(bounded(t)); !errors.Is(err, esdb.ErrUnauthenticated) || strings.Contains(err.Error(), "p@ss") {
		t.Errorf("got %v", err)
	}
}

// TestWhoeverIsNoAdminWritesNoSettings has the ledger's own user try.
func TestWhoeverIsNoAdminWritesNoSettings(t *testing.T) {
	t.Parallel()
	server := guarded(t)
	s := openAs(t, server, app.Name)
	was, err := s.Settings(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetDefaultACL(bounded(t), was, esdb.ServerDefault()); !errors.Is(err, esdb.ErrDenied) {
		t.Errorf("got %v, want ErrDenied", err)
	}
}

func TestOfTwoThatWriteSettingsOneLearnsOfIt(t *testing.T) {
	t.Parallel()
	s := openAs(t, guarded(t), esdb.Admin)
	was, err := s.Settings(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetDefaultACL(bounded(t), was, esdb.LedgerACL("a", "b")); err != nil {
		t.Fatal(err)
	}
	if err := s.SetDefaultACL(bounded(t), was, esdb.LedgerACL("c")); !eventstore.IsConflict(err) {
		t.Errorf("the second: %v", err)
	}
	if now, err := s.Settings(bounded(t)); err != nil || !now.ACL.Same(esdb.LedgerACL("b", "a")) {
		t.Errorf("in force: %+v, %v", now.ACL, err)
	}
}

// TestSettingsAreReadAsTheServerDoes: what is left open, and what it cannot read.
func TestSettingsAreReadAsTheServerDoes(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]struct {
		deleting esdb.Roles
		reading  esdb.Roles // of the server's own streams
		fault    bool
	}{
		`{}`:                                  {esdb.Roles{"$all"}, esdb.Roles{"$admins"}, false},
		`{"$userStreamAcl":{"$d":"$admins"}}`: {esdb.Roles{"$admins"}, esdb.Roles{"$admins"}, false},
		`{"$userStreamAcl":{"$d":[]},"$systemStreamAcl":{"$r":["ops","$admins"]}}`: {esdb.Roles{}, esdb.Roles{"$admins", "ops"}, false},
		`{"$userStreamAcl":{"$d":"$admins","note":"ours"}}`:                        {esdb.Roles{"$all"}, esdb.Roles{"$admins"}, true},
		`{"$userStreamAcl":{"$d":"$admins"},"$systemStreamAcl":null}`:              {esdb.Roles{"$all"}, esdb.Roles{"$admins"}, true},
		`{"$userStreamAcl":{"$d":null}}`:                                           {esdb.Roles{"$all"}, esdb.Roles{"$admins"}, true},
		`[]`:                                                                       {esdb.Roles{"$all"}, esdb.Roles{"$admins"}, true},
	} {
		server := esdbtest.Start(t)
		bare := bareClient(t, server.URL())
		if _, err := bare.AppendToStream(bounded(t), "$settings", client.AppendToStreamOptions{},
			client.EventData{EventID: uuid.New(), EventType: "update-default-acl", ContentType: client.ContentTypeJson, Data: []byte(said)}); err != nil {
			t.Fatal(err)
		}
		got, err := open(t, server, esdb.Options{}).Settings(bounded(t))
		if err != nil || !got.Written || (got.Fault != nil) != want.fault ||
			!got.ACL.User.Delete.Same(want.deleting) || !got.ACL.System.Read.Same(want.reading) {
			t.Errorf("%s is read as %+v, %v", said, got, err)
		}
	}
}

// TestTheACLIsWrittenAsTheServerDoes looks at the bytes.
func TestTheACLIsWrittenAsTheServerDoes(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(esdb.LedgerACL("daybook"))
	want := `{"$userStreamAcl":{"$r":["$admins","daybook"],"$w":["$admins","daybook"],"$d":"$admins","$mr":"$admins","$mw":"$admins"},` +
		`"$systemStreamAcl":{"$r":["$admins","daybook"],"$w":"$admins","$d":"$admins","$mr":"$admins","$mw":"$admins"}}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}

func TestStandardProjections(t *testing.T) {
	t.Parallel()
	server := esdbtest.Start(t)
	s := open(t, server, esdb.Options{})
	if running, err := s.StandardProjections(bounded(t)); err != nil || len(running) > 0 {
		t.Errorf("a server without projections runs %q, %v", running, err)
	}
	if err := server.RunProjections("$by_category", "mine", "$streams"); err != nil {
		t.Fatal(err)
	}
	running, err := s.StandardProjections(bounded(t))
	if err != nil || !slices.Equal(running, []string{"$by_category", "$streams"}) {
		t.Errorf("got %q, %v", running, err)
	}
}

func TestTheServersVersion(t *testing.T) {
	t.Parallel()
	if v, err := open(t, esdbtest.Start(t), esdb.Options{}).ServerVersion(bounded(t)); err != nil || v != "24.10.0" {
		t.Errorf("got %q, %v", v, err)
	}
}

// TestADeniedAppendSaysSo has a server refuse an append before it has read it
// to its end, large ones too, which shows to the client in more ways than one.
func TestADeniedAppendSaysSo(t *testing.T) {
	t.Parallel()
	server := guarded(t)
	admin := openAs(t, server, esdb.Admin)
	was, err := admin.Settings(bounded(t))
	if err == nil {
		err = admin.SetDefaultACL(bounded(t), was, esdb.LedgerACL("others"))
	}
	if err != nil {
		t.Fatal(err)
	}
	s := openAs(t, server, app.Name)
	for i := range 50 {
		e := event()
		e.Data = bytes.Repeat([]byte("x"), i*20_000)
		if _, err := s.Append(bounded(t), "order-1", eventstore.NoStream, e); !errors.Is(err, esdb.ErrDenied) || errors.Is(err, eventstore.ErrOutcomeUnknown) {
			t.Fatalf("%d bytes: %v", len(e.Data), err)
		}
	}
}
