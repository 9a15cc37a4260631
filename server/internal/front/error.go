package front

// ConfigError is why the front cannot serve with a Config: one line that memcached's
// begins with, the file or list of ciphers, and the reason.
type ConfigError struct {
	While string // what was being done; "" if Err says it
	What  string // the file or list
	Err   error
}

// What is being done when there is an error, in memcached's words.
const (
	loadingChain   = "loading the certificate chain"
	loadingKey     = "loading the key"
	loadingCA      = "loading the CA certificate"
	validating     = "validating the certificate"
	settingCiphers = "setting the provided cipher(s)"
)

func (e *ConfigError) Error() string {
	if e.While == "" {
		return e.Err.Error()
	}
	return "Error " + e.While + ": " + e.What + " : " + e.Err.Error()
}

func (e *ConfigError) Unwrap() error { return e.Err }
