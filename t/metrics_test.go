package t

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sys/unix"

	"gomcd/t/harness"
)

// startMetrics starts a server with --metrics.
func startMetrics(t *testing.T, k harness.Kind, flags ...string) (s *harness.Server, addr string) {
	t.Helper()
	addr = fmt.Sprintf("127.0.0.1:%d", harness.FreePort(t))
	return harness.Start(t, k, append(flags, "--metrics", addr)...), addr
}

// scrape asks for metrics.
func scrape(t *testing.T, addr, accept string) (contentType, body string) {
	t.Helper()
	req, err := http.NewRequest("GET", "http://"+addr+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	client := http.Client{Timeout: harness.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v", res.StatusCode, err)
	}
	return res.Header.Get("Content-Type"), string(b)
}

const openMetrics = "application/openmetrics-text; version=1.0.0"

// Metrics are read by Prometheus's own parsers, are those of the common exporter and
// more, and say what stats says.
func TestMetrics(t *testing.T) {
	t.Parallel()
	s, addr := startMetrics(t, harness.Production(), "-m", "64", "-t", "2",
		"-o", "lru_crawler_sleep=150,lru_crawler_tocrawl=7,hot_lru_pct=21,warm_lru_pct=41,hot_max_factor=0.25,warm_max_factor=2.5")
	c := s.Dial(t)
	c.Set("a", "1")
	c.Set("large", strings.Repeat("x", 200_000))
	c.Ask("get a b", "VALUE a 0 1", "1", "END")
	c.Ask("incr a 1", "2")
	c.Ask("cas a 0 0 1 99\n1", "EXISTS")
	c.Ask("touch b 0", "NOT_FOUND")
	c.Ask("delete b", "NOT_FOUND")

	kind, text := scrape(t, addr, "text/plain")
	if kind != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("the content is %q", kind)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	value := func(name string, labels ...string) float64 {
		t.Helper()
		f := families[name]
		if f == nil {
			t.Errorf("there is no %s", name)
			return -1
		}
	metrics:
		for _, m := range f.Metric {
			for i := 0; i < len(labels); i += 2 {
				if m.Label[i/2].GetName() != labels[i] || m.Label[i/2].GetValue() != labels[i+1] {
					continue metrics
				}
			}
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
		t.Errorf("there is no %s%q", name, labels)
		return -1
	}
	stats := c.Stats("")
	for name, stat := range map[string]string{
		"memcached_current_items": "curr_items", "memcached_current_bytes": "bytes", "memcached_limit_bytes": "limit_maxbytes",
		"memcached_items_total": "total_items", "memcached_current_connections": "curr_connections", "memcached_max_connections": "max_connections",
	} {
		if got := strconv.FormatFloat(value(name), 'f', -1, 64); got != stats[stat] {
			t.Errorf("%s is %s, %s of stats is %s", name, got, stat, stats[stat])
		}
	}
	for name, want := range map[string]float64{
		"enabled": 1, "sleep": 150, "to_crawl": 7, "maintainer_thread": 1, "hot_percent": 21, "warm_percent": 41, "hot_max_factor": 0.25, "warm_max_factor": 2.5,
	} {
		if got := value("memcached_lru_crawler_" + name); got != want {
			t.Errorf("the crawler's %s is %v, want %v", name, got, want)
		}
	}
	for labels, want := range map[string]float64{
		"get hit": 1, "get miss": 1, "set hit": 2, "cas badval": 1, "incr hit": 1, "touch miss": 1, "delete miss": 1, "flush hit": 0,
	} {
		command, status, _ := strings.Cut(labels, " ")
		if got := value("memcached_commands_total", "command", command, "status", status); got != want {
			t.Errorf("%s: %v, want %v", labels, got, want)
		}
	}
	if got := value("memcached_up") + value("memcached_version", "version", "1.6.45") + value("gomcd_sandbox_mode", "role", "worker", "mode", "enforce") +
		value("gomcd_sandbox_lock_closed", "lock", "no_new_privs"); got != 4 {
		t.Errorf("facts are %v, not 4", got)
	}
	if value("gomcd_role_cpu_seconds_total", "role", "worker") <= 0 || value("gomcd_sandbox_violations_total", "role", "worker") != 0 {
		t.Errorf("of workers it says\n%s", text)
	}
	turns := families["gomcd_turn_seconds"].Metric[0].Histogram.Bucket
	for i, b := range turns {
		if i > 0 && b.GetCumulativeCount() < turns[i-1].GetCumulativeCount() || i == len(turns)-1 && b.GetCumulativeCount() == 0 {
			t.Errorf("turns: %v", turns)
		}
	}
	// Every role that there is a thread of has a time.
	threads := map[string]bool{"runtime": true}
	for _, name := range s.Threads() {
		name, _, _ = strings.Cut(name, "-")
		if name != "gomcd" && name != "reporter" {
			threads[name] = true
		}
	}
	if got := len(families["gomcd_role_cpu_seconds_total"].Metric); got != len(threads) {
		t.Errorf("%d roles have a time, there are %v", got, threads)
	}
	for _, name := range exporterNames {
		if families[name] == nil {
			t.Errorf("there is no %s, which dashboards look for", name)
		}
	}

	kind, open := scrape(t, addr, openMetrics+",text/plain;q=0.5")
	if kind != openMetrics+"; charset=utf-8" || !strings.HasSuffix(open, "\n# EOF\n") {
		t.Errorf("the content is %q, and ends with %q", kind, open[len(open)-20:])
	}
	python := exec.Command("/usr/bin/python3", "-c", "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\nprint(sum(len(f.samples) for f in parse(sys.stdin.read())))")
	python.Stdin = strings.NewReader(open)
	out, err := python.CombinedOutput()
	if err != nil {
		t.Fatalf("the parser of OpenMetrics: %v\n%s\n%s", err, out, open)
	}
	if want := len(regexp.MustCompile(`(?m)^[^#]`).FindAllString(text, -1)); strings.TrimSpace(string(out)) != fmt.Sprint(want) {
		t.Errorf("%s samples in OpenMetrics, %d in text", out, want)
	}
}

// exporterNames are what the common exporter has of a server without external storage
// and proxy.
var exporterNames = strings.Fields(`
memcached_accepting_connections memcached_commands_total memcached_connections_listener_disabled_total memcached_connections_rejected_total
memcached_connections_total memcached_connections_yielded_total memcached_current_bytes memcached_current_connections memcached_current_items
memcached_lru_crawler_enabled memcached_lru_crawler_sleep memcached_lru_crawler_to_crawl memcached_lru_crawler_maintainer_thread
memcached_lru_crawler_hot_percent memcached_lru_crawler_warm_percent memcached_lru_crawler_hot_max_factor memcached_lru_crawler_warm_max_factor
memcached_slab_chunks_free_end memcached_slab_hot_age_seconds memcached_slab_warm_age_seconds memcached_slab_items_tailrepairs_total
memcached_direct_reclaims_total memcached_item_no_memory_total memcached_item_too_large_total memcached_items_evicted_total
memcached_items_reclaimed_total memcached_items_total memcached_limit_bytes memcached_lru_crawler_items_checked_total
memcached_lru_crawler_moves_to_cold_total memcached_lru_crawler_moves_to_warm_total memcached_lru_crawler_moves_within_lru_total
memcached_lru_crawler_reclaimed_total memcached_lru_crawler_starts_total memcached_malloced_bytes memcached_max_connections
memcached_process_system_cpu_seconds_total memcached_process_user_cpu_seconds_total memcached_read_bytes_total memcached_time_seconds
memcached_up memcached_uptime_seconds memcached_version memcached_written_bytes_total
memcached_slab_chunk_size_bytes memcached_slab_chunks_free memcached_slab_chunks_per_page memcached_slab_chunks_used memcached_slab_cold_items
memcached_slab_commands_total memcached_slab_current_chunks memcached_slab_current_items memcached_slab_current_pages memcached_slab_hot_items
memcached_slab_items_age_seconds memcached_slab_items_crawler_reclaimed_total memcached_slab_items_evicted_nonzero_total
memcached_slab_items_evicted_time_seconds memcached_slab_items_evicted_total memcached_slab_items_evicted_unfetched_total
memcached_slab_items_expired_unfetched_total memcached_slab_items_moves_to_cold memcached_slab_items_moves_to_warm
memcached_slab_items_moves_within_lru memcached_slab_items_outofmemory_total memcached_slab_items_reclaimed_total memcached_slab_lru_hits_total
memcached_slab_mem_requested_bytes memcached_slab_temporary_items memcached_slab_warm_items`)

// Clients that do not go on keep neither others from their metrics nor anybody from
// the cache, and none of them has a descriptor of the cache's clients.
func TestSlowScrapers(t *testing.T) {
	t.Parallel()
	s, addr := startMetrics(t, harness.Production(), "-c", "10")
	c := s.Dial(t)
	for i := range 40 {
		one, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer one.Close()
		// A request that has not ended, or one whose reply is not read.
		fmt.Fprint(one, "GET /metrics HTTP/1.1\r\nHost: a\r\n"[:1+i*30/40])
		if i%2 == 0 {
			fmt.Fprint(one, "\r\n\r\n")
		}
		if i%10 == 9 {
			if _, text := scrape(t, addr, ""); !strings.Contains(text, "\nmemcached_current_connections 1\n") {
				t.Errorf("among %d slow clients:\n%s", i, text)
			}
			c.Set("a", "1")
		}
	}
	// One that sends its request in pieces is answered in the end.
	pieces, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer pieces.Close()
	for _, b := range []byte("GET /metrics HTTP/1.0\r\n\r\n") {
		if _, err := pieces.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := io.ReadAll(pieces); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 200 OK\r\n") {
		t.Errorf("in pieces: %.100q, %v", got, err)
	}
}

// What is no scrape is refused, and the connection closed.
func TestScrapesRefused(t *testing.T) {
	t.Parallel()
	_, addr := startMetrics(t, harness.Production())
	for request, want := range map[string]string{
		"GET / HTTP/1.1\r\n\r\n": "HTTP/1.1 404 ",
		"get a\r\n\r\n":          "HTTP/1.1 400 ",
	} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, request)
		if got, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("%.30q: %.100q, %v", request, got, err)
		}
		conn.Close()
	}
}

// A client that sends more than a request, pipelined or as a body, receives the whole
// reply all the same: closing with bytes unread would reset the connection, and a client
// with a small window would lose what it has not received.
func TestScrapersWhoSendMore(t *testing.T) {
	t.Parallel()
	_, addr := startMetrics(t, harness.Production())
	small := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10) })
	}}
	const get = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, c := range []struct {
		name, request string
		status, body  int // the least that the body has
	}{
		{"HTTP/1.0", "GET /metrics HTTP/1.0\r\n\r\n", 200, 10_000},
		{"pipelined", strings.Repeat(get, 5_000), 200, 10_000},
		{"a body", "GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("b", 100_000), 200, 10_000},
		{"HEAD", "HEAD" + get[3:], 200, 0},
		{"POST", "POST" + get[3:], 405, 1},
		{"POST with a body", "POST" + get[3:] + strings.Repeat("b", 100_000), 405, 1},
		{"headers without end", "GET /metrics HTTP/1.1\r\n" + strings.Repeat("Header: a\r\n", 50_000), 400, 1},
		{"headers that just do not fit", "GET /metrics HTTP/1.1" + strings.Repeat("x", 8192-21), 400, 1},
	} {
		req, _ := http.NewRequest(strings.Fields(c.request)[0], "/", nil)
		ask := func() error {
			conn, err := small.Dial("tcp", addr)
			if err != nil {
				return err
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(harness.Patience))
			go io.WriteString(conn, c.request)
			res, err := http.ReadResponse(bufio.NewReader(conn), req)
			if err != nil {
				return err
			}
			body, err := io.ReadAll(res.Body)
			switch {
			case err != nil:
				return err
			case res.StatusCode != c.status || len(body) < c.body || c.body == 0 && len(body) > 0:
				t.Errorf("%s: status %d, a body of %d bytes", c.name, res.StatusCode, len(body))
			}
			return nil
		}
		// One that has to wait for long is closed after a while, whatever it sends.
		var err error
		for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			if err = ask(); err == nil {
				break
			}
			if time.Since(began) > harness.Patience {
				t.Errorf("%s: %v", c.name, err)
				break
			}
		}
	}
}

// A thousand scrapers at once are all served, those at the latest when they ask again that
// were closed because they had to wait for long.
func TestManyScrapers(t *testing.T) {
	t.Parallel()
	_, addr := startMetrics(t, harness.Production())
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	hang := time.AfterFunc(harness.Patience, giveUp) // unless one is served meanwhile
	defer hang.Stop()
	errs := make(chan error)
	const scrapers = 1000
	for range scrapers {
		go func() {
			client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			req, err := http.NewRequestWithContext(ctx, "GET", "http://"+addr+"/metrics", nil)
			if err != nil {
				errs <- err
				return
			}
			for {
				var res *http.Response
				if res, err = client.Do(req); err == nil {
					_, err = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				if err == nil || ctx.Err() != nil {
					break
				}
				time.Sleep(100 * time.Millisecond) // of those that do not wait the server has enough
			}
			errs <- err
		}()
	}
	failed := map[string]int{}
	for range scrapers {
		if err := <-errs; err != nil {
			failed[regexp.MustCompile(`:\d+->`).ReplaceAllString(err.Error(), "->")]++
		} else {
			hang.Reset(harness.Patience)
		}
	}
	if len(failed) > 0 {
		t.Error(failed)
	}
}

// A port alone is one of loopback; where other hosts can reach it, a warning says so.
func TestMetricsAddress(t *testing.T) {
	t.Parallel()
	port := strconv.Itoa(harness.FreePort(t))
	harness.Start(t, harness.Production(), "--metrics", port)
	if _, text := scrape(t, "127.0.0.1:"+port, ""); text == "" {
		t.Error("nothing is answered")
	}
	open := "0.0.0.0:" + strconv.Itoa(harness.FreePort(t))
	s := harness.Start(t, harness.Production(), "--metrics", open)
	s.Says = "gomcd: --metrics: tcp:" + open + " can be reached from other hosts: anybody there can read the statistics\n" + s.Says
	if code, said := harness.Refused(t, harness.Production(), "--metrics", open); code != 71 || !strings.Contains(said, "(--metrics): ") || !strings.Contains(said, "address already in use") {
		t.Errorf("a second one: status %d, %s", code, said)
	}
}

// The sandbox's state is among the metrics: a role in audit, and what it has counted.
func TestMetricsOfAudit(t *testing.T) {
	t.Parallel()
	s, addr := startMetrics(t, harness.Privileged(), "--sandbox=enforce,worker=audit")
	s.SaysMore = true
	c := s.Dial(t)
	c.Send("misbehave\n")
	c.Line()
	_, text := scrape(t, addr, "")
	for _, want := range []string{
		`gomcd_sandbox_mode{role="worker",mode="audit"} 1`, `gomcd_sandbox_mode{role="metrics",mode="enforce"} 1`, "gomcd_test_privileges 1",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
	if !regexp.MustCompile(`(?m)^gomcd_sandbox_violations_total\{role="worker"\} [1-9]`).MatchString(text) {
		t.Errorf("no violation of a worker in\n%s", text)
	}
}

// Alerts and the dashboard ask for metrics that there are, and each alert names a part
// of the documentation that there is.
func TestAlertsAndDashboard(t *testing.T) {
	t.Parallel()
	s, addr := startMetrics(t, harness.Production())
	s.Dial(t).Set("a", "1")
	_, text := scrape(t, addr, "")
	rules, err := os.ReadFile("../deploy/prometheus-rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	dashboard, err := os.ReadFile("../deploy/grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(dashboard) {
		t.Error("the dashboard is no JSON")
	}
	for file, content := range map[string]string{"rules": string(rules), "dashboard": string(dashboard)} {
		names := regexp.MustCompile(`\b(?:memcached|gomcd)_[a-z_]+[a-z]\b`).FindAllString(content, -1)
		if len(names) < 10 {
			t.Errorf("%s ask for %q", file, names)
		}
		for _, name := range names {
			if !regexp.MustCompile(`(?m)^` + name + `[ {]`).MatchString(text) {
				t.Errorf("%s ask for %s, which there is not", file, name)
			}
		}
	}
	alerts := strings.Count(string(rules), "- alert: ")
	runbooks := regexp.MustCompile(`runbook: (docs/\w+\.md)#([\w-]+)\n`).FindAllStringSubmatch(string(rules), -1)
	if alerts == 0 || len(runbooks) != alerts {
		t.Errorf("%d alerts, %d name a page", alerts, len(runbooks))
	}
	for _, m := range runbooks {
		page, err := os.ReadFile("../" + m[1])
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)`).FindAllStringSubmatch(string(page), -1) {
			anchor := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
			found = found || strings.ReplaceAll(anchor, " ", "-") == m[2]
		}
		if !found {
			t.Errorf("%s has no part #%s", m[1], m[2])
		}
	}
	// Prometheus's own tool, as Debian has it.
	promtool := unpacked(t, "usr/bin/promtool")
	if out, err := exec.Command(promtool, "check", "rules", "../deploy/prometheus-rules.yml").CombinedOutput(); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	const advice = 3 // its status for names that it would choose otherwise
	if out, err := cmd.CombinedOutput(); err != nil && cmd.ProcessState.ExitCode() != advice {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// GomcdConnectionsRefused fires in both modes of -c. With -o no_maxconns_fast a server has
// no metric of connections that it rejected.
func TestAlertOfRefusedConnections(t *testing.T) {
	t.Parallel()
	const rejected, disabled = "memcached_connections_rejected_total", "memcached_connections_listener_disabled_total"
	_, addr := startMetrics(t, harness.Production(), "-o", "no_maxconns_fast")
	if _, text := scrape(t, addr, ""); strings.Contains(text, "\n"+rejected+" ") || !strings.Contains(text, "\n"+disabled+" 0\n") {
		t.Errorf("with -o no_maxconns_fast the metrics are\n%s", text)
	}
	rules, err := filepath.Abs("../deploy/prometheus-rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	tests := "rule_files: [" + rules + "]\nevaluation_interval: 1m\ntests:\n"
	for _, c := range []struct {
		series map[string]string
		fires  bool
	}{
		{map[string]string{disabled: "0 0 0 3 3 3"}, true},
		{map[string]string{disabled: "3 3 3 3 3 3"}, false},
		{map[string]string{rejected: "0 0 0 3 3 3", disabled: "0 0 0 0 0 0"}, true},
		{map[string]string{rejected: "0 0 0 0 0 0", disabled: "0 0 0 3 3 3"}, true},
		{map[string]string{rejected: "0 0 0 3 3 3", disabled: "0 0 0 3 3 3"}, true},
		{map[string]string{rejected: "3 3 3 3 3 3", disabled: "3 3 3 3 3 3"}, false},
	} {
		tests += "- interval: 1m\n  input_series:\n"
		for name, values := range c.series {
			tests += fmt.Sprintf("  - {series: '%s{instance=\"a\"}', values: '%s'}\n", name, values)
		}
		tests += "  alert_rule_test:\n  - eval_time: 5m\n    alertname: GomcdConnectionsRefused\n    exp_alerts:\n"
		if c.fires {
			tests += "    - exp_labels: {severity: critical, instance: a}\n      exp_annotations: {runbook: 'docs/operations.md#limits', " +
				"summary: 'a refuses connections, or lets them wait'}\n"
		}
	}
	file := filepath.Join(t.TempDir(), "tests.yml")
	if err := os.WriteFile(file, []byte(tests), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(unpacked(t, "usr/bin/promtool"), "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("promtool test rules: %v\n%s", err, out)
	}
}

// With TLS there is what the front counts, and the line at readiness says which
// addresses are served with it.
func TestMetricsOfTLS(t *testing.T) {
	t.Parallel()
	s, addr := startMetrics(t, harness.Production().WithTLS(harness.NewCertificates(t, "ECDSA")), "-v")
	s.SaysMore = true
	s.Dial(t).Set("a", "1")
	_, text := scrape(t, addr, "")
	for _, want := range []string{
		`gomcd_tls_connections_total [1-9]`, `gomcd_tls_handshake_errors_total 0`, `gomcd_tls_handshake_timeouts_total 0`,
		`gomcd_tls_certificate_refresh_seconds \d+`, `gomcd_role_cpu_seconds_total\{role="doorman"\} 0`, `memcached_current_items 1`,
	} {
		if !regexp.MustCompile(`(?m)^` + want).MatchString(text) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
	harness.Eventually(t, "the line at readiness says TLS", func() bool {
		return regexp.MustCompile(` serves tcp:127\.0\.0\.1:\d+ \(TLS\) metrics:`).MatchString(s.Stderr())
	})
}
