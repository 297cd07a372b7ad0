package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// weir is the binary as a process of its own.
type weir struct {
	binary, dir, upstream string

	addr           string // changes at each start
	user, password string
	cmd            *exec.Cmd
	log            bytes.Buffer
	ended          chan struct{} // its standard output is at its end
}

const settings = `listen: 127.0.0.1:0
data: data
rules:
  - {prefix: demo, upstream: "%[1]s", window: %[2]s}
upstreams:
  "%[1]s": {endpoints: ["http://%[1]s"]}
`

var listens = regexp.MustCompile(`listens on http://(\S+?):? `)

// start runs weir and waits until it says where it listens.
func (w *weir) start(ctx context.Context) error {
	file := filepath.Join(w.dir, "weir.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, settings, w.upstream, window), 0o600); err != nil {
		return err
	}
	w.log.Reset()
	cmd := exec.Command(w.binary, "serve", "--config", file)
	cmd.Stderr = &w.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	w.cmd, w.ended = cmd, make(chan struct{})
	found := make(chan string, 1)
	go func() {
		defer close(w.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if m := listens.FindStringSubmatch(lines.Text() + " "); m != nil {
				found <- m[1]
			}
		}
	}()
	select {
	case w.addr = <-found:
	case <-w.ended:
		return errors.Join(errors.New("weir did not start"), w.stop())
	case <-ctx.Done():
		return errors.Join(ctx.Err(), w.stop())
	}
	return w.readKey(filepath.Join(w.dir, "data", "credentials"))
}

func (w *weir) readKey(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, "=")
		switch strings.TrimSpace(key) {
		case "aws_access_key_id":
			w.user = strings.TrimSpace(value)
		case "aws_secret_access_key":
			w.password = strings.TrimSpace(value)
		}
	}
	return nil
}

// stop tells weir to end and waits for it.
func (w *weir) stop() error {
	if w.cmd == nil {
		return nil
	}
	cmd := w.cmd
	w.cmd = nil
	cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
	defer kill.Stop()
	<-w.ended
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("weir ended with %w\n%s", err, w.log.String())
	}
	return nil
}
