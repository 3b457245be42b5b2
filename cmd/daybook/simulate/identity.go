package simulate

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// token returns n random letters and digits. What is drawn follows from the seed
// alone, and how it is written from the end, too: the same lives at another time
// are those of others.
func (s *story) token(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = s.letters[s.rng.IntN(len(s.letters))]
	}
	return string(b)
}

// lettersOf are the letters and digits in an order of the run's own.
func lettersOf(o Options) []byte {
	letters := []byte(base62)
	rand.New(rand.NewPCG(o.Seed, uint64(o.End.Unix()))).Shuffle(len(letters), func(i, j int) {
		letters[i], letters[j] = letters[j], letters[i]
	})
	return letters
}

// runHash is a short name for a run.
func runHash(o Options) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "daybook simulate %d %d", o.Seed, o.End.Unix())
	return fmt.Sprintf("%08x", h.Sum32())
}

// accountName names the account of lifecycle i. Most names are plain; some
// have spaces or letters outside ASCII, as names chosen by people do.
func accountName(o Options, i int) string {
	hash := runHash(o)
	switch {
	case i%23 == 17:
		return fmt.Sprintf("Équipe Ouest %04d-%s", i+1, hash)
	case i%29 == 11:
		return fmt.Sprintf("公会-%04d-%s", i+1, hash)
	case i%31 == 7:
		return fmt.Sprintf("night shift %04d-%s", i+1, hash)
	}
	return fmt.Sprintf("team-%04d-%s", i+1, hash)
}

// customer is an invented buyer.
type customer struct {
	id, paymentMethod        string
	number                   int
	name, email, phone       string
	line1, city, postal      string
	country, currency, local string
	invoicePrefix            string
	invoices, creditNotes    int
	created                  int64
	metadata                 metadata
}

var (
	givenNames  = []string{"Mara", "Ilja", "Noor", "Tomás", "Bea", "Kwame", "Yuki", "Saoirse", "Anders", "Leïla"}
	familyNames = []string{"Quistgaard", "Okonjo-Vale", "Brandvold", "Ferreira Pinto", "Takeshiro", "Mac Giolla", "Deschamps-Roy", "van der Zwaan"}
	streets     = []string{"Lantern Row", "Kastanienweg", "Rua do Farol", "Saddler's Yard", "Quai des Brumes"}
	places      = []struct{ city, country, currency, locale string }{
		{"Ashford Mills", "US", "usd", "en-US"}, {"Norrby", "US", "usd", "en-US"}, {"Port Elgin", "CA", "usd", "en-CA"},
		{"Lindenau", "DE", "eur", "de-DE"}, {"Saint-Aubin", "FR", "eur", "fr-FR"}, {"Kisarazu", "JP", "jpy", "ja-JP"},
	}
)

// newCustomer invents a buyer; the number makes the address and the name unique.
func (s *story) newCustomer(number int) *customer {
	rng := s.rng
	given := givenNames[rng.IntN(len(givenNames))]
	family := familyNames[rng.IntN(len(familyNames))]
	place := places[rng.IntN(len(places))]
	return &customer{
		number:        number,
		id:            "cus_" + s.token(14),
		paymentMethod: "pm_1" + s.token(23),
		name:          fmt.Sprintf("%s %s %d", given, family, number),
		email:         fmt.Sprintf("buyer.%04d.%s@example.com", number, runHash(s.options)),
		phone:         fmt.Sprintf("+1555%07d", rng.IntN(10_000_000)),
		line1:         fmt.Sprintf("%d %s", number, streets[rng.IntN(len(streets))]),
		city:          place.city, country: place.country, currency: place.currency, local: place.locale,
		postal:        fmt.Sprintf("%05d", rng.IntN(100_000)),
		invoicePrefix: fmt.Sprintf("%08X", rng.Uint32()),
	}
}

// personal lists what would tell who the buyer is.
func (c *customer) personal() []string { return []string{c.name, c.email, c.phone, c.line1} }
