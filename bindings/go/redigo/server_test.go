package redigo

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"tokenbucket"
)

// What all tests of the package share: a server, and the function that a program writes to use redigo.

var background = context.Background()

func doOf(pool *redis.Pool) tokenbucket.RedisDo {
	return func(ctx context.Context, args ...any) (any, error) {
		conn, err := pool.GetContext(ctx)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		return conn.Do(args[0].(string), args[1:]...)
	}
}

// server is a redis-server without a port, in a temporary folder.
type server struct {
	folder  string
	process *exec.Cmd
	pool    *redis.Pool
}

func startServer() (*server, error) {
	folder, err := os.MkdirTemp("", "tokenbucket-redis-")
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(folder, "s")
	s := &server{folder: folder, process: exec.Command("redis-server", "--port", "0", "--unixsocket", socket,
		"--save", "", "--appendonly", "no", "--dir", folder, "--logfile", filepath.Join(folder, "log"))}
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // also if the test is killed
	s.pool = &redis.Pool{MaxIdle: 16, Dial: func() (redis.Conn, error) {
		return redis.Dial("unix", socket, redis.DialReadTimeout(10*time.Second), redis.DialWriteTimeout(10*time.Second))
	}}
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if pong, err := s.command("PING"); err == nil && pong == "PONG" {
			return s, nil
		}
		if time.Since(begin) > 30*time.Second {
			s.stop()
			return nil, fmt.Errorf("redis-server does not answer")
		}
	}
}

func (s *server) stop() {
	_ = s.process.Process.Signal(syscall.SIGTERM)
	_ = s.process.Wait()
	_ = s.pool.Close()
	_ = os.RemoveAll(s.folder)
}

func (s *server) command(name string, args ...any) (any, error) {
	conn := s.pool.Get()
	defer conn.Close()
	return conn.Do(name, args...)
}

var shared *server

func TestMain(m *testing.M) {
	runtime.LockOSThread() // the server ends with the thread that started it
	var err error
	if shared, err = startServer(); err != nil {
		fmt.Println("redis-server: ", err)
		os.Exit(1)
	}
	status := m.Run()
	shared.stop()
	os.Exit(status)
}

// counting counts commands, and keeps the names of those that run the script.
type counting struct {
	do    tokenbucket.RedisDo
	count atomic.Int64
	names []string // with one goroutine
}

func (c *counting) ask(ctx context.Context, args ...any) (any, error) {
	c.count.Add(1)
	c.names = append(c.names, args[0].(string))
	return c.do(ctx, args...)
}

func (c *counting) sent() string {
	names := strings.Join(c.names, " ")
	c.names = nil
	return names
}

func prefixOf(t testing.TB) string { return "tb:" + t.Name() + ":" }

// newRemote is a limit under the test's own prefix, whose tokens may be an hour ahead.
func newRemote(t testing.TB, capacity, rate float64, options ...tokenbucket.Option) *tokenbucket.Remote {
	t.Helper()
	return newRemoteBy(t, doOf(shared.pool), capacity, rate, options...)
}

func newRemoteBy(t testing.TB, do tokenbucket.RedisDo, capacity, rate float64, options ...tokenbucket.Option) (
	r *tokenbucket.Remote,
) {
	t.Helper()
	all := []tokenbucket.Option{tokenbucket.WithPrefix(prefixOf(t)), tokenbucket.WithMaxWait(time.Hour)}
	r, err := tokenbucket.NewRemote(do, capacity, rate, append(all, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustCommand(t testing.TB, name string, args ...any) any {
	t.Helper()
	v, err := shared.command(name, args...)
	if err != nil {
		t.Fatal(name, ": ", err)
	}
	return v
}
