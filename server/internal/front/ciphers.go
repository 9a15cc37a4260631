package front

import (
	"errors"
	"fmt"
	"strings"

	"gomcd/server/internal/record"
)

// opensslNames are OpenSSL's names of the suites of TLS 1.2 (openssl-ciphers(1)).
// Those of TLS 1.3 have IANA's names there too.
var opensslNames = map[string]uint16{
	"ECDHE-ECDSA-AES128-GCM-SHA256": 0xc02b,
	"ECDHE-RSA-AES128-GCM-SHA256":   0xc02f,
	"ECDHE-ECDSA-AES256-GCM-SHA384": 0xc02c,
	"ECDHE-RSA-AES256-GCM-SHA384":   0xc030,
	"ECDHE-ECDSA-CHACHA20-POLY1305": 0xcca9,
	"ECDHE-RSA-CHACHA20-POLY1305":   0xcca8,
}

// suites reads a list of ciphers. The result is the suites of TLS 1.2, or nil for all.
func suites(list string, minVersion int) ([]uint16, error) {
	if list == "" {
		return nil, nil
	}
	var ids []uint16
	for _, name := range strings.FieldsFunc(list, func(r rune) bool { return r == ':' || r == ',' || r == ' ' }) {
		suite := record.SuiteByID(suiteID(name))
		if suite == nil {
			return nil, &ConfigError{settingCiphers, list, fmt.Errorf("%q is not supported; "+
				"suites are named one by one, with ECDHE and AES-GCM or ChaCha20-Poly1305", name)}
		}
		if suite.Version == record.TLS12 {
			ids = append(ids, suite.ID)
		}
	}
	if len(ids) == 0 && minVersion < 3 {
		return nil, &ConfigError{settingCiphers, list, errors.New("none is of TLS 1.2; ssl_min_version=3 does without it")}
	}
	return ids, nil
}

// suiteID is the number of the suite with a name of OpenSSL's or IANA's, or 0.
func suiteID(name string) uint16 {
	if id, ok := opensslNames[name]; ok {
		return id
	}
	for _, s := range record.Suites() {
		if s.Name == name {
			return s.ID
		}
	}
	return 0
}
