package sqlite

// applicationID marks a SQLite file as a read model of ours ("DayM").
const applicationID = 0x4461794d

// layout is the version of the tables below. A file of another layout is
// discarded: what was in it can be folded again.
const layout = 4

// pageSize fits about four documents to a page. It must be the same in a model
// and in the one rebuilt beside it.
const pageSize = 8192

// tables hold documents as JSON, and as columns only what is searched for.
// Moments are Unix nanoseconds, 0 for none.
const tables = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE subscriptions (
	id TEXT NOT NULL, account TEXT NOT NULL, customer TEXT NOT NULL,
	status TEXT NOT NULL, tier TEXT NOT NULL, clock TEXT NOT NULL, due INTEGER NOT NULL, doc BLOB NOT NULL);
CREATE TABLE subscription_flags (flag TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (flag, id)) WITHOUT ROWID;
CREATE INDEX subscription_flags_by_id ON subscription_flags (id);
CREATE TABLE entitlements (account TEXT NOT NULL PRIMARY KEY, until INTEGER NOT NULL, doc BLOB NOT NULL);
CREATE TABLE failures (stripe_event_id TEXT PRIMARY KEY, position INTEGER NOT NULL, doc BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE parked (stream TEXT PRIMARY KEY, position INTEGER NOT NULL, doc BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE catalogs (ordinal INTEGER PRIMARY KEY, type TEXT NOT NULL, doc BLOB NOT NULL);
CREATE TABLE objects (
	kind TEXT NOT NULL, id TEXT NOT NULL, account TEXT NOT NULL, customer TEXT NOT NULL,
	invoice TEXT NOT NULL, noted INTEGER NOT NULL, doc BLOB NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE TABLE prices (price TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE invoices (id TEXT NOT NULL, subscription TEXT NOT NULL, PRIMARY KEY (id, subscription)) WITHOUT ROWID;
CREATE TABLE charges (id TEXT NOT NULL, payment TEXT NOT NULL, PRIMARY KEY (id, payment)) WITHOUT ROWID;
CREATE TABLE named (account TEXT NOT NULL, stream TEXT NOT NULL, PRIMARY KEY (account, stream)) WITHOUT ROWID;
CREATE UNIQUE INDEX subscriptions_by_id ON subscriptions (id);
CREATE INDEX subscriptions_by_account ON subscriptions (account, id);
CREATE INDEX subscriptions_by_customer ON subscriptions (customer, id);
CREATE INDEX subscriptions_by_status ON subscriptions (status, id);
CREATE INDEX subscriptions_by_clock ON subscriptions (clock, account) WHERE clock > '';
CREATE INDEX objects_by_account ON objects (account, kind, id) WHERE account > '';
CREATE INDEX objects_by_customer ON objects (customer, noted) WHERE customer > '';
CREATE INDEX objects_by_invoice ON objects (invoice, noted) WHERE invoice > '';
CREATE INDEX objects_noted ON objects (kind, id) WHERE noted > 0;
CREATE INDEX charges_of_streams ON charges (id) WHERE payment = id;
CREATE INDEX subscriptions_due ON subscriptions (due) WHERE due > 0;
CREATE INDEX entitlements_until ON entitlements (until) WHERE until > 0;
`
