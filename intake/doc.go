// Package intake is the room that knows Stripe's vocabulary. It checks the
// signature of a delivery, reads its envelope, writes the raw bytes to the
// journal, and translates them, whichever API version rendered them, into the
// facts of package aggregate.
//
// The way of one delivery:
//
//	Verifier.Verify    is it from Stripe, and recent?
//	ParseEnvelope      is it an event, and which?
//	Journal.Record     durable, once, exactly as received
//	Translator         later, and as often as wanted: what does it say?
//
// Nothing is interpreted before it is durable, so that a bug in translation
// never loses an event.
//
// Fields are found by their presence, never by the event's api_version: Stripe
// adds fields under old labels, labels may be null or carry a suffix, and two
// endpoints may render one event differently. The new place of a field is
// preferred, the old one is the fallback, and null means the same as absent.
package intake
