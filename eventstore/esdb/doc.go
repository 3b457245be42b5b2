// Package esdb keeps events in an EventStoreDB or KurrentDB cluster, through
// the Go client of its gRPC protocol.
//
// The client has edges that a ledger must not be cut by, and this package is
// what lies between:
//
//   - A client that loses its server for longer than a few attempts of
//     discovery is dead for ever, and one that makes a second connection forgets
//     to close the first. So a client is lent out once it is connected, used
//     until the first failure of its connection, asked for none after that, then
//     replaced, and closed behind its last user (see pool and gate.go).
//   - It may block without regard for its context, or panic when it is closed
//     under a call. So every call runs in a goroutine of its own, and is given
//     up on after our own deadline (see attempt).
//   - A failed append may have happened. So it is asked again, with the same
//     IDs and the same expected revision, until the outcome is known or time is
//     up, which is ErrOutcomeUnknown (see append.go).
//   - A conflict may be about a write that a failover loses. So it is believed
//     only once the stream was read and shows it.
//   - A read that fails may look like one that ended. So reads go on from the
//     last event on another connection, or yield the error (see reading.go).
//   - A subscription ends with its connection, and one that begins behind the
//     end of the log skips events silently. So Follow subscribes again from the
//     last event that it yielded, and compares with the log's end first.
//
// Positions are commit positions, which for appends over gRPC are the prepare
// positions too.
//
// # Prefix
//
// A cluster that is shared with others is shared by a prefix of stream names,
// which is put before each name here, and taken off again. Events of other
// prefixes, and the server's own, are never yielded.
package esdb
