package meta_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/weir-registry/weir/internal/meta"
)

// server is a PostgreSQL server of the test's own, reached by a unix socket.
type server struct {
	dir   string
	admin *sql.DB
	n     atomic.Int64
}

// startPostgres starts a server that ends with the test. PostgreSQL refuses to run as
// root, so for root it runs as the user postgres.
func startPostgres(t *testing.T) *server {
	t.Helper()
	bin := findPostgres(t)
	// Not t.TempDir, whose parent only this user may enter; and a socket's path is short.
	dir, err := os.MkdirTemp("", "weir-pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	attr := asPostgres(t, dir)
	run := func(name string, args ...string) error {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = dir, attr
		// Files, not pipes: the server would hold a pipe open.
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			return err
		}
		defer out.Close()
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			said, _ := os.ReadFile(out.Name())
			return fmt.Errorf("%s: %w\n%s", name, err, bytes.TrimSpace(said))
		}
		return nil
	}
	data, log := filepath.Join(dir, "data"), filepath.Join(dir, "log")
	if err := run("initdb", "-D", data, "-U", "weir", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"); err != nil {
		t.Fatal(err)
	}
	options := fmt.Sprintf("-c listen_addresses='' -c unix_socket_directories='%s' -c fsync=off -c max_connections=200", dir)
	if err := run("pg_ctl", "start", "-w", "-D", data, "-l", log, "-o", options); err != nil {
		said, _ := os.ReadFile(log)
		t.Fatalf("%v\n%s", err, said)
	}
	t.Cleanup(func() {
		if err := run("pg_ctl", "stop", "-w", "-D", data, "-m", "immediate"); err != nil {
			t.Error(err)
		}
	})
	s := &server{dir: dir}
	s.admin, err = sql.Open("pgx", s.url("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.admin.Close() })
	return s
}

// findPostgres returns the folder of the server's programs.
func findPostgres(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(found, func(a, b string) int {
		version := func(s string) int {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(s))))
			return n
		}
		return version(a) - version(b)
	})
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1])
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		t.Fatal("PostgreSQL's server is not installed and this test does not run without it: install Debian's package postgresql (apt-get install postgresql)")
	}
	return filepath.Dir(path)
}

// asPostgres gives dir to the user that the server will run as.
func asPostgres(t *testing.T, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatalf("PostgreSQL does not run as root, and its user is not there: install Debian's package postgresql (apt-get install postgresql): %v", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func (s *server) url(database string) string {
	return (&url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: url.Values{"host": {s.dir}, "user": {"weir"}}.Encode()}).String()
}

// fresh makes an empty database whose collation is that of American English, as in
// many an installation: it does not order by bytes.
func (s *server) fresh(t *testing.T) meta.Options {
	t.Helper()
	name := fmt.Sprintf("t%d", s.n.Add(1))
	if _, err := s.admin.ExecContext(t.Context(), "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := s.admin.ExecContext(context.Background(), "DROP DATABASE "+name); err != nil {
			t.Error(err)
		}
	})
	return meta.Options{URL: s.url(name)}
}
