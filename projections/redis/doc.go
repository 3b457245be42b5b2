// Package redis publishes entitlements to Redis, for readers in any language:
// on one server, behind Sentinel, or on a Cluster. What stands there is
// described by package published; docs/REDIS.md is the contract for readers.
//
// Every write is one script over one key, which compares what is there with what
// is to be written, on the server: whoever writes, an older entry never takes the
// place of a newer. Nothing rests on the election, on retries, or on clocks that
// agree.
package redis
