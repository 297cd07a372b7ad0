package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	File         string // as Load was told; "" where no file is at fault
	Line, Column int    // from 1; 0 where the whole file is meant
	Key          string // such as rules[2].upstream; "" for syntax
	Msg          string
}

// String is one line: FILE:LINE:COLUMN: KEY: MESSAGE.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Msg)
	return b.String()
}

// Problems is everything that is wrong with a configuration, in the order of the
// file.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// maxFile is the longest configuration file that is read, in bytes.
const maxFile = 4 << 20

// Load reads the configuration file name, or takes Default if name is "", lets
// override (flags of a command line; may be nil) change what was read, and checks
// the whole. Its error is Problems.
func Load(name string, override func(*Config)) (*Config, error) {
	c := Default()
	d := &decoder{file: name, at: map[string]position{}}
	if name != "" {
		src, err := read(name)
		if err != nil {
			return nil, Problems{{File: name, Msg: reason(err)}}
		}
		d.document(src, c)
		_, data := d.at["data"]
		c.resolve(filepath.Dir(name), data)
	}
	_, given := d.at["rules"]
	c.builtin = !given
	listen := c.Listen
	if override != nil {
		override(c)
		if c.Listen != listen {
			delete(d.at, "listen") // a problem of the flag is none of the file
		}
	}
	if !d.syntax {
		(&checker{decoder: d, c: c}).config()
	}
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b Problem) int {
			return cmp.Or(a.Line-b.Line, a.Column-b.Column)
		})
		return nil, d.problems
	}
	return c, nil
}

// read returns the bytes of a file, or of a pipe, if they are at most maxFile.
func read(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.New("is a folder, not a file")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if len(text) > maxFile {
		return nil, fmt.Errorf("has more than %d bytes", maxFile)
	}
	return text, err
}

// reason is what went wrong with a file, without its name.
func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

// resolve makes the file's relative paths start at dir; data says whether the
// data folder is one of them.
func (c *Config) resolve(dir string, data bool) {
	abs := func(name *string) {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(dir, *name)
		}
	}
	if data {
		abs(&c.Data)
	}
	abs(&c.TLS.CertFile)
	abs(&c.TLS.KeyFile)
	if c.Events.Log != "-" {
		abs(&c.Events.Log)
	}
	for i := range c.Events.Webhooks {
		abs(&c.Events.Webhooks[i].SecretFile)
		abs(&c.Events.Webhooks[i].CAFile)
	}
	for name, cred := range c.Credentials {
		abs(&cred.File)
		abs(&cred.PasswordFile)
		c.Credentials[name] = cred
	}
	for host, u := range c.Upstreams {
		abs(&u.CAFile)
		c.Upstreams[host] = u
	}
}
