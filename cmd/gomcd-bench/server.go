package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// contender is a server that is compared.
type contender struct {
	name    string
	command string // with {port} and, perhaps, {mem} and {threads}
	threads int    // 0: 1
	tls     bool   // it is asked over TLS whatever others are
	// constant: it answers everything with the reply for the only key there is.
	constant bool
}

// parseContender understands NAME=COMMAND.
func parseContender(vs string) (contender, error) {
	name, command, ok := strings.Cut(vs, "=")
	if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(name, " {/") {
		return contender{}, fmt.Errorf("--vs %q is not NAME=COMMAND", vs)
	}
	if !strings.Contains(command, "{port}") {
		return contender{}, fmt.Errorf("--vs %s: the command has no {port} that could be replaced: %s", name, command)
	}
	return contender{name: name, command: command}, nil
}

func parseContenders(all []string) ([]contender, error) {
	var out []contender
	for _, vs := range all {
		c, err := parseContender(vs)
		if err != nil {
			return nil, err
		}
		for _, other := range out {
			if other.name == c.name {
				return nil, fmt.Errorf("--vs has two servers with the name %s", c.name)
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// defaultMem is what {mem} is replaced by where a case does not say, in
// megabytes.
const defaultMem = 1024

// running is a server that was started.
type running struct {
	contender
	addr  string
	plain string // of a listener without TLS, if the command has {plain}
	cmd   *exec.Cmd
	said  bytes.Buffer
	ended chan struct{}
}

// start starts the server on a processor and waits until it listens. It ends
// when stop is closed, if not before.
func (c contender) start(cpu, mem int, files tlsFiles, stop <-chan struct{}) (*running, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	plain := port
	for plain == port {
		if plain, err = freePort(); err != nil {
			return nil, err
		}
	}
	r := &running{contender: c, addr: "127.0.0.1:" + strconv.Itoa(port), plain: "127.0.0.1:" + strconv.Itoa(plain), ended: make(chan struct{})}
	args := strings.Fields(strings.NewReplacer("{port}", strconv.Itoa(port), "{plain}", strconv.Itoa(plain), "{tls}", files.flags(), "{mem}", strconv.Itoa(mem),
		"{threads}", strconv.Itoa(max(c.threads, 1))).Replace(c.command))
	r.cmd = exec.Command(args[0], args[1:]...)
	r.cmd.Stdout, r.cmd.Stderr = &r.said, &r.said
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := pinned(cpu, r.cmd.Start); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.name, err)
	}
	go func() {
		r.cmd.Wait()
		close(r.ended)
	}()
	go func() {
		select {
		case <-r.ended:
		case <-stop:
			r.stop()
		}
	}()
	for deadline := time.Now().Add(2 * patience); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", r.addr)
		if err == nil {
			conn.Close()
			select {
			case <-r.ended:
				return nil, fmt.Errorf("%s listens, but what was started has ended: without -d, it could be stopped and pinned: %q", c.name, args)
			default:
			}
			return r, nil
		}
		select {
		case <-r.ended:
			return nil, fmt.Errorf("%s ended (%v) before it listened: %q said: %s", c.name, r.cmd.ProcessState, args, bytes.TrimSpace(r.said.Bytes()))
		default:
		}
		if time.Now().After(deadline) {
			r.stop()
			return nil, fmt.Errorf("%s does not listen on port %d: %q said: %s", c.name, port, args, bytes.TrimSpace(r.said.Bytes()))
		}
	}
}

// stop ends the server.
func (r *running) stop() {
	r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.ended:
	case <-time.After(patience):
		r.cmd.Process.Kill()
		<-r.ended
	}
}

// used is the processor time of the server's threads, in all its processes.
func (r *running) used() used {
	var sum used
	for _, pid := range r.processes() {
		u := usedBy(fmt.Sprintf("/proc/%d/task/*", pid))
		sum.ran += u.ran
		sum.waited += u.waited
	}
	return sum
}

// processes are the server's: the one that was started, and its children.
func (r *running) processes() []int {
	pids := []int{r.cmd.Process.Pid}
	for i := 0; i < len(pids); i++ {
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[i]))
		for _, list := range lists {
			b, _ := os.ReadFile(list)
			for _, word := range strings.Fields(string(b)) {
				if pid, err := strconv.Atoi(word); err == nil {
					pids = append(pids, pid)
				}
			}
		}
	}
	return pids
}

// resident is how much memory the server has touched, in bytes: as the kernel
// counts it page by page or, where that may not be read, as it keeps count.
func (r *running) resident() int64 {
	sum := int64(0)
	for _, pid := range r.processes() {
		sum += residentOf(pid)
	}
	return sum
}

func residentOf(pid int) int64 {
	for _, v := range []struct{ file, field string }{{"smaps_rollup", "Rss:"}, {"status", "VmRSS:"}} {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, v.file))
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, v.field); ok {
				kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				return kb << 10
			}
		}
	}
	return 0
}

// version is what the server calls itself.
func (r *running) version(p *plan) string {
	c, err := dial(r.addr, p.tls)
	if err != nil {
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	c.Write([]byte("version\r\n"))
	b := make([]byte, 200)
	n, _ := c.Read(b)
	return strings.TrimPrefix(strings.TrimSpace(string(b[:n])), "VERSION ")
}

// freePort is a port that nobody has. It is below those that the kernel gives to
// connections, so that none gets it before the server does.
func freePort() (int, error) {
	const least = 1024
	below := 1 << 15
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		fmt.Sscan(string(b), &below)
	}
	if below < 2*least {
		below = 1 << 16 // no range of ports is nobody's
	}
	for tries := 1; ; tries++ {
		port := least + rand.IntN(below-least)
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			return port, l.Close()
		}
		if tries == 1000 {
			return 0, err
		}
	}
}

// explain adds to an error which server it is about, and how it ended if it
// did.
func (r *running) explain(err error) error {
	select {
	case <-r.ended:
		return fmt.Errorf("%s: %w; it has ended (%v) and said: %s", r.name, err, r.cmd.ProcessState, bytes.TrimSpace(r.said.Bytes()))
	default:
		return fmt.Errorf("%s: %w", r.name, err)
	}
}
