package sandbox_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"unsafe"

	"gomcd/sandbox"

	seccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// inProcess runs a program in a process of its own, for filters stay: this
// test binary runs the example once more and ends inside program. What came of
// it is printed.
func inProcess(example string, program func()) {
	if os.Getenv("SANDBOX_EXAMPLE") == example {
		runtime.LockOSThread() // a filter is a thread's
		unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
		program()
		unix.Exit(0)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+example+"$")
	cmd.Env = append(os.Environ(), "SANDBOX_EXAMPLE="+example, "GODEBUG=asyncpreemptoff=1")
	cmd.Env = append(cmd.Env, "GOCOVERDIR="+os.TempDir())
	out, err := cmd.Output()
	fmt.Print(string(out))
	if err != nil {
		fmt.Println(strings.TrimSuffix(err.Error(), " (core dumped)"))
	}
}

// say prints a line without Go's buffers and locks in between.
func say(line string) error {
	_, err := unix.Write(1, []byte(line+"\n"))
	return err
}

// write and exit are for behind such a filter. They look no further than the
// call: a function that may grow its stack may also be stopped for the Go
// scheduler, which wants calls of its own.
//
//go:nosplit
func write(fd uintptr, line string) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.StringData(line))), uintptr(len(line)))
	return errno
}

//go:nosplit
func exit(code uintptr) { unix.RawSyscall(unix.SYS_EXIT_GROUP, code, 0, 0) }

// The classic first program: it may do nothing but end. The line before the
// filter prints, and the one behind it does not: the call fails.
func ExampleProfile_CompileFor() {
	inProcess("ExampleProfile_CompileFor", func() {
		onlyExit := sandbox.Profile{Role: "example", Rules: []sandbox.Rule{
			sandbox.Allow("exit_group", "the program ends"),
		}}
		program, err := onlyExit.CompileFor(sandbox.Fail(unix.EACCES))
		if err != nil {
			panic(err)
		}
		if err := sandbox.NoNewPrivileges(); err != nil {
			panic(err)
		}
		say("before")
		if err := program.Install(); err != nil {
			panic(err)
		}
		if write(1, "after\n") == unix.EACCES {
			exit(3) // there is no other way left to tell
		}
	})
	// Output:
	// before
	// exit status 3
}

// The same, but what is forbidden ends the program.
func ExampleProfile_CompileFor_trap() {
	inProcess("ExampleProfile_CompileFor_trap", func() {
		onlyExit := sandbox.Profile{Role: "example", Rules: []sandbox.Rule{
			sandbox.Allow("exit_group", "the program ends"),
		}}
		program, err := onlyExit.CompileFor(sandbox.Trap)
		if err != nil {
			panic(err)
		}
		if err := sandbox.NoNewPrivileges(); err != nil {
			panic(err)
		}
		say("before")
		if err := program.Install(); err != nil {
			panic(err)
		}
		write(1, "after\n")
	})
	// Output:
	// before
	// signal: bad system call
}

// With one more rule both lines print: writing, but to stdout only.
func ExampleAllowIf() {
	inProcess("ExampleAllowIf", func() {
		stdoutOnly := sandbox.Profile{Role: "example", Rules: []sandbox.Rule{
			sandbox.AllowIf("write", "the program says something", sandbox.Is(0, 1, "stdout")),
			sandbox.Allow("exit_group", "the program ends"),
		}}
		program, err := stdoutOnly.CompileFor(sandbox.Fail(unix.EACCES))
		if err != nil {
			panic(err)
		}
		if err := sandbox.NoNewPrivileges(); err != nil {
			panic(err)
		}
		say("before")
		if err := program.Install(); err != nil {
			panic(err)
		}
		write(1, "after\n")
		if write(2, "to stderr\n") == unix.EACCES {
			write(1, "stderr is closed\n")
		}
		exit(0)
	})
	// Output:
	// before
	// after
	// stderr is closed
}

// Another process, or as here another thread, decides call by call.
func ExampleProgram_InstallNotify() {
	inProcess("ExampleProgram_InstallNotify", func() {
		say("start")
		asking := sandbox.Profile{Role: "example", Rules: []sandbox.Rule{}}
		for _, call := range []string{"write", "futex", "exit_group", "sched_yield", "nanosleep", "rt_sigreturn"} {
			asking.Rules = append(asking.Rules, sandbox.Allow(call, "the Go runtime goes on"))
		}
		program, err := asking.CompileFor(sandbox.Notify)
		if err != nil {
			panic(err)
		}
		if err := sandbox.NoNewPrivileges(); err != nil {
			panic(err)
		}
		listener, there := make(chan int), make(chan bool)
		go func() {
			// A thread of its own, born before the other has the filter, which it
			// would inherit.
			runtime.LockOSThread()
			there <- true
			fd := seccomp.ScmpFd(<-listener)
			for {
				request, err := seccomp.NotifReceive(fd)
				if err != nil {
					panic(err)
				}
				answer := seccomp.ScmpNotifResp{ID: request.ID}
				name, _ := request.Data.Syscall.GetName()
				if name == "getppid" {
					say("asked for " + name)
					answer.Val = 42
				} else {
					// The Go runtime makes others, such as clock_gettime where the
					// vDSO has no clock: one that nobody answers waits for ever.
					answer.Flags = seccomp.NotifRespFlagContinue
				}
				if err := seccomp.NotifRespond(fd, &answer); err != nil {
					panic(err)
				}
			}
		}()
		<-there
		fd, err := program.InstallNotify()
		if err != nil {
			panic(err)
		}
		listener <- fd
		parent, _, _ := unix.Syscall(unix.SYS_GETPPID, 0, 0, 0)
		say(fmt.Sprint("the answer is ", parent))
	})
	// Output:
	// start
	// asked for getppid
	// the answer is 42
}

// What a role is allowed, and why.
func ExamplePrint() {
	profile := sandbox.Profile{Role: "clerk", Rules: []sandbox.Rule{
		sandbox.Allow("recvfrom", "takes letters"),
		sandbox.AllowIf("write", "complains", sandbox.Is(0, 2, "stderr")),
	}}
	sandbox.Print(os.Stdout, []sandbox.Profile{profile}, "text")
	// Output:
	// role clerk: 2 system calls
	//   recvfrom()           takes letters
	//   write(arg0: stderr)  complains
}
