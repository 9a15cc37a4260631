package record

// Alert is the description of a TLS alert (RFC 8446, section 6).
type Alert uint8

// The alerts that this package and the handshake name.
const (
	CloseNotify          Alert = 0
	UnexpectedMessage    Alert = 10
	BadRecordMAC         Alert = 20
	RecordOverflow       Alert = 22
	HandshakeFailure     Alert = 40
	BadCertificate       Alert = 42
	UnsupportedCert      Alert = 43
	CertificateRevoked   Alert = 44
	CertificateExpired   Alert = 45
	CertificateUnknown   Alert = 46
	IllegalParameter     Alert = 47
	UnknownCA            Alert = 48
	AccessDenied         Alert = 49
	DecodeError          Alert = 50
	DecryptError         Alert = 51
	ProtocolVersion      Alert = 70
	InsufficientSecurity Alert = 71
	InternalError        Alert = 80
	BadFallback          Alert = 86
	UserCanceled         Alert = 90
	NoRenegotiation      Alert = 100
	CertificateRequired  Alert = 116
)

// alertNames are those of the RFCs.
var alertNames = [256]string{
	CloseNotify:          "close_notify",
	UnexpectedMessage:    "unexpected_message",
	BadRecordMAC:         "bad_record_mac",
	RecordOverflow:       "record_overflow",
	HandshakeFailure:     "handshake_failure",
	BadCertificate:       "bad_certificate",
	UnsupportedCert:      "unsupported_certificate",
	CertificateRevoked:   "certificate_revoked",
	CertificateExpired:   "certificate_expired",
	CertificateUnknown:   "certificate_unknown",
	IllegalParameter:     "illegal_parameter",
	UnknownCA:            "unknown_ca",
	AccessDenied:         "access_denied",
	DecodeError:          "decode_error",
	DecryptError:         "decrypt_error",
	ProtocolVersion:      "protocol_version",
	InsufficientSecurity: "insufficient_security",
	InternalError:        "internal_error",
	BadFallback:          "inappropriate_fallback",
	UserCanceled:         "user_canceled",
	NoRenegotiation:      "no_renegotiation",
	109:                  "missing_extension",
	110:                  "unsupported_extension",
	112:                  "unrecognized_name",
	115:                  "unknown_psk_identity",
	CertificateRequired:  "certificate_required",
	120:                  "no_application_protocol",
}

// String returns the RFCs' name for the alert, or "alert" for one without. It
// allocates nothing.
func (a Alert) String() string {
	if s := alertNames[a]; s != "" {
		return s
	}
	return "alert"
}

// Levels of an alert. TLS 1.3 ignores them (RFC 8446, section 6).
const (
	levelWarning = 1
	levelFatal   = 2
)

// level is the level that goes with the alert when it is sent.
func (a Alert) level() byte {
	switch a {
	case CloseNotify, UserCanceled, NoRenegotiation:
		return levelWarning
	}
	return levelFatal
}
