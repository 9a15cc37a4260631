package t

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"gomcd/t/harness"
)

// Clients that speak TLS do, each by its own library: Go's, Python's, Ruby's, node's,
// PHP's, and openssl's.

// atLocalhost is a server's address by the name that its certificate has.
func atLocalhost(s *harness.Server) string {
	return strings.Replace(s.Addr, "127.0.0.1:", "localhost:", 1)
}

// startMutual starts a server whose clients must have a certificate.
func startMutual(t *testing.T, certs *harness.Certificates) *harness.Server {
	t.Helper()
	config := certs.Client()
	config.Certificates = []tls.Certificate{certs.ClientCertificate(t)}
	return harness.Start(t, harness.Production().WithTLS(certs).Speaking(config), "-o", "ssl_verify_mode=2,ssl_ca_cert="+certs.CAFile)
}

// tlsStat is one statistic of a server with TLS.
func tlsStat(t *testing.T, s *harness.Server, name string) string {
	t.Helper()
	return s.Dial(t).Stats("")[name]
}

// TestGomemcacheTLS has both versions, sessions that are resumed, and the client's
// certificate.
func TestGomemcacheTLS(t *testing.T) {
	t.Parallel()
	for version, name := range map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"} {
		for _, key := range []string{"ECDSA", "RSA", "Ed25519"} {
			t.Run(name+" "+key, func(t *testing.T) {
				t.Parallel()
				certs := harness.NewCertificates(t, key)
				s := harness.Start(t, harness.Production().WithTLS(certs), "-o", "ssl_session_cache,ssl_verify_mode=1,ssl_ca_cert="+certs.CAFile)
				config := certs.Client()
				config.MinVersion, config.MaxVersion = version, version
				config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
				config.Certificates = []tls.Certificate{certs.ClientCertificate(t)}
				for range 2 {
					c := memcache.New(s.Addr)
					c.Timeout = harness.Patience
					c.DialContext = (&tls.Dialer{Config: config}).DialContext
					gomemcacheSession(t, c)
					c.Close()
				}
				if tlsStat(t, s, "ssl_resumed_sessions") == "0" {
					t.Error("no session was resumed")
				}
			})
		}
	}
}

func TestPymemcacheTLS(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "RSA")
	s := startMutual(t, certs)
	out := command(t, "/usr/bin/python3", "-c", pymemcacheSession, atLocalhost(s), certs.CAFile, certs.ClientChain, certs.ClientKey)
	if strings.TrimSpace(out) != "done" {
		t.Error(out)
	}
}

func TestDalliTLS(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s := harness.Start(t, harness.Production().WithTLS(certs))
	options := fmt.Sprintf(`require "openssl"; {ssl_context: OpenSSL::SSL::SSLContext.new.tap { |c| c.ca_file = %q; c.verify_mode = OpenSSL::SSL::VERIFY_PEER; c.verify_hostname = true }}`, certs.CAFile)
	for _, protocol := range []string{"binary", "meta"} {
		all := strings.Replace(options, "{ssl_context:", "{protocol: :"+protocol+", ssl_context:", 1)
		if out := command(t, "ruby", "-e", dalliSession, atLocalhost(s), all); out != "done" {
			t.Errorf("%s: %s", protocol, out)
		}
	}
}

// TestDalliSASLTLS logs in over TLS.
func TestDalliSASLTLS(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s := startSASL(t, harness.Production().WithTLS(certs), usersFile(t, "ann:one\n"))
	options := fmt.Sprintf(`require "openssl"; {username: "ann", password: "one", ssl_context: OpenSSL::SSL::SSLContext.new.tap { |c| c.ca_file = %q; c.verify_mode = OpenSSL::SSL::VERIFY_PEER }}`, certs.CAFile)
	if out := command(t, "ruby", "-e", dalliSession, atLocalhost(s), options); out != "done" {
		t.Error(out)
	}
}

const memcacheClientSession = `
const { MemcacheClient } = require(process.argv[1]), assert = require("assert"), fs = require("fs")
const [ca, cert, key] = process.argv.slice(3).map(f => fs.readFileSync(f))
const c = new MemcacheClient({server: process.argv[2], tls: {ca, cert, key}, cmdTimeout: 20000, connectTimeout: 20000})
const main = async () => {
	await c.set("a", "1")
	assert.equal((await c.get("a")).value, "1")
	await c.set("object", {x: [1, 2]})
	assert.deepEqual((await c.get("object")).value, {x: [1, 2]})
	assert(await c.add("new", "1"))
	await assert.rejects(c.add("new", "2"))
	assert(await c.replace("a", "5"))
	assert.equal(await c.incr("a", 5), "10")
	assert.equal(await c.decr("a", 3), "7")
	assert(await c.append("new", "x") && await c.prepend("new", "y"))
	const found = await c.gets("new")
	assert.equal(found.value, "y1x")
	assert(await c.cas("new", "z", {casUniq: found.casUniq}))
	assert(await c.touch("new", 100))
	const big = Buffer.alloc(900000, "z").toString()
	await c.set("big", big)
	assert.equal((await c.get("big")).value, big)
	const keys = [...Array(200).keys()].map(i => "key" + i)
	await Promise.all(keys.map(k => c.set(k, "value of " + k)))
	const all = await c.get(keys)
	assert.equal(Object.keys(all).length, 200)
	assert.equal(all.key7.value, "value of key7")
	assert.equal(await c.get("none"), undefined)
	assert(await c.delete("a"))
	assert.equal((await c.version())[1], "1.6.45")
	c.shutdown()
	process.stdout.write("done")
}
main().catch(e => { console.log(e); process.exit(1) })
`

// TestMemcacheClientTLS runs where there is npm.
func TestMemcacheClientTLS(t *testing.T) {
	t.Parallel()
	module := nodeModule(t, "memcache-client")
	certs := harness.NewCertificates(t, "ECDSA")
	s := startMutual(t, certs)
	out := command(t, "node", "-e", memcacheClientSession, module, atLocalhost(s), certs.CAFile, certs.ClientChain, certs.ClientKey)
	if out != "done" {
		t.Error(out)
	}
}

const phpStreamSession = `
$c = stream_context_create(["ssl" => ["cafile" => $argv[2], "peer_name" => "localhost"]]);
$s = stream_socket_client("ssl://" . $argv[1], $errno, $error, 20, STREAM_CLIENT_CONNECT, $c) or exit($error);
stream_set_timeout($s, 20);
$big = str_repeat("0123456789", 100000);
fwrite($s, "set big 0 0 1000000\r\n" . $big . "\r\nget big\r\nmn\r\n");
if (fgets($s) !== "STORED\r\n" || fgets($s) !== "VALUE big 0 1000000\r\n") exit("set");
if (stream_get_contents($s, 1000002) !== $big . "\r\n") exit("value");
if (fgets($s) !== "END\r\n" || fgets($s) !== "MN\r\n") exit("end");
echo "done ", stream_get_meta_data($s)["crypto"]["protocol"];
`

func TestPHPStreamTLS(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "RSA")
	s := harness.Start(t, harness.Production().WithTLS(certs))
	if out := command(t, "php", "-r", phpStreamSession, s.Addr, certs.CAFile); out != "done TLSv1.3" {
		t.Error(out)
	}
}

// openssl is openssl's client.
type openssl struct {
	t   *testing.T
	cmd *exec.Cmd
	in  *os.File
	out harness.Buffer
}

// startOpenssl has it connect. What is written to it is sent, but for letters at the
// beginning of a line that are commands to it.
func startOpenssl(t *testing.T, s *harness.Server, args ...string) *openssl {
	t.Helper()
	o := &openssl{t: t}
	o.cmd = exec.Command("openssl", append([]string{"s_client", "-connect", s.Addr, "-crlf", "-servername", "localhost"}, args...)...)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	o.in = w
	o.cmd.Stdin, o.cmd.Stdout, o.cmd.Stderr = r, &o.out, &o.out
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	t.Cleanup(o.end)
	return o
}

func (o *openssl) end() {
	o.in.Close()
	if o.cmd.ProcessState == nil {
		o.cmd.Process.Kill()
		o.cmd.Wait()
	}
}

// wait waits for its end.
func (o *openssl) wait() error {
	hang := time.AfterFunc(harness.Patience, func() { o.cmd.Process.Kill() })
	defer hang.Stop()
	return o.cmd.Wait()
}

// says waits until it has printed text so many times.
func (o *openssl) says(text string, times int) {
	o.t.Helper()
	harness.Eventually(o.t, fmt.Sprintf("openssl says %q", text), func() bool {
		return strings.Count(o.out.String(), text) >= times
	})
}

func (o *openssl) sends(text string) {
	o.t.Helper()
	if _, err := o.in.WriteString(text); err != nil {
		o.t.Fatalf("%v\n%s", err, o.out.String())
	}
}

// TestOpenssl has both versions and all ciphers, with and without a certificate of the
// client, and sessions that are resumed.
func TestOpenssl(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"ECDSA", "RSA", "Ed25519"} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			certs := harness.NewCertificates(t, key)
			s := harness.Start(t, harness.Production().WithTLS(certs), "-o", "ssl_session_cache,ssl_verify_mode=1,ssl_ca_cert="+certs.CAFile)
			ciphers := map[string][]string{"-tls1_3": {"-ciphersuites TLS_AES_128_GCM_SHA256", "-ciphersuites TLS_AES_256_GCM_SHA384", "-ciphersuites TLS_CHACHA20_POLY1305_SHA256"}}
			kind := "ECDSA"
			if key == "RSA" {
				kind = "RSA"
			}
			for _, c := range []string{"AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"} {
				ciphers["-tls1_2"] = append(ciphers["-tls1_2"], "-cipher ECDHE-"+kind+"-"+c)
			}
			resumed := 0
			for version, all := range ciphers {
				for _, cipher := range all {
					session := filepath.Join(t.TempDir(), "session")
					args := append([]string{version, "-verify_return_error", "-CAfile", certs.CAFile}, strings.Fields(cipher)...)
					for i, more := range [][]string{{"-sess_out", session}, {"-sess_in", session, "-cert", certs.ClientChain, "-key", certs.ClientKey}} {
						o := startOpenssl(t, s, append(args, more...)...)
						o.sends("set a 0 0 5\nhello\n")
						o.says("STORED\r\n", 1)
						o.sends("get a\nquit\n")
						o.says("VALUE a 0 5\r\nhello\r\nEND\r\n", 1)
						if err := o.wait(); err != nil {
							t.Errorf("%s %s: %v\n%s", version, cipher, err, o.out.String())
						}
						if reused := strings.Contains(o.out.String(), "Reused, TLSv1"); reused != (i == 1) {
							t.Errorf("%s %s, connection %d: reused %v\n%s", version, cipher, i, reused, o.out.String())
						}
						resumed += i
					}
				}
			}
			if got := tlsStat(t, s, "ssl_resumed_sessions"); got != fmt.Sprint(resumed) {
				t.Errorf("ssl_resumed_sessions is %s, not %d", got, resumed)
			}
		})
	}
}

// TestOpensslClientCertificate is refused without one, and with one of another authority.
func TestOpensslClientCertificate(t *testing.T) {
	t.Parallel()
	certs, others := harness.NewCertificates(t, "ECDSA"), harness.NewCertificates(t, "ECDSA")
	s := startMutual(t, certs)
	for name, test := range map[string]struct {
		args   []string
		served bool
	}{
		"none":       {nil, false},
		"another's":  {[]string{"-cert", others.ClientChain, "-key", others.ClientKey}, false},
		"the client": {[]string{"-cert", certs.ClientChain, "-key", certs.ClientKey}, true},
	} {
		for _, version := range []string{"-tls1_2", "-tls1_3"} {
			o := startOpenssl(t, s, append(test.args, version, "-quiet", "-no_ign_eof", "-CAfile", certs.CAFile)...)
			o.in.WriteString("mn\n")
			if test.served {
				o.says("MN\r\n", 1)
				o.sends("quit\n")
			}
			err := o.wait()
			if served := strings.Contains(o.out.String(), "MN\r\n"); served != test.served {
				t.Errorf("%s %s: served %v, %v\n%s", name, version, served, err, o.out.String())
			}
		}
	}
	c := s.Dial(t)
	harness.Eventually(t, "those that were refused are counted", func() bool { return c.Stats("")["ssl_client_certs_refused"] == "4" })
}

// TestOpensslKeyUpdate has the client change its keys, and ask for the server's to be
// changed, in the middle of requests.
func TestOpensslKeyUpdate(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s := harness.Start(t, harness.Production().WithTLS(certs))
	o := startOpenssl(t, s, "-tls1_3", "-CAfile", certs.CAFile)
	for i := range 10 {
		o.sends(fmt.Sprintf("set key%d 0 0 5\nhello\n", i))
		o.says("STORED\r\n", i+1)
		o.sends([]string{"k\n", "K\n"}[i%2])
		o.says("KEYUPDATE\n", i+1)
		o.sends(fmt.Sprintf("get key%d\n", i))
		o.says(fmt.Sprintf("VALUE key%d 0 5\r\nhello\r\nEND\r\n", i), 1)
	}
	o.sends("quit\n")
	if err := o.cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, o.out.String())
	}
	if got := tlsStat(t, s, "ssl_proto_errors"); got != "0" {
		t.Errorf("ssl_proto_errors is %s", got)
	}
}

// TestOpensslTakesNoOldVersions is refused below TLS 1.2, and above what it may have.
func TestOpensslTakesNoOldVersions(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "RSA")
	s := harness.Start(t, harness.Production().WithTLS(certs))
	for _, args := range []string{"-tls1 -cipher ALL@SECLEVEL=0", "-tls1_1 -cipher ALL@SECLEVEL=0", "-tls1_2 -cipher AES128-SHA", "-tls1_2 -cipher ECDHE-RSA-AES128-SHA256"} {
		out, err := exec.Command("openssl", append([]string{"s_client", "-connect", s.Addr, "-CAfile", certs.CAFile}, strings.Fields(args)...)...).CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("alert")) {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
}
