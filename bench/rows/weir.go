package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
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
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// weir is a process, with its root key.
type weir struct {
	cmd  *exec.Cmd
	url  string
	keys aws.Credentials
}

func startWeir(ctx context.Context, dir, bin string) (*weir, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	l.Close()
	config := filepath.Join(dir, "weir.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "listen: %s\ndata: %s\nlog: {level: error}\n", addr, filepath.Join(dir, "data")), 0o600); err != nil {
		return nil, err
	}
	w := &weir{cmd: exec.CommandContext(ctx, bin, "serve", "--config", config), url: "http://" + addr}
	w.cmd.Stdout, w.cmd.Stderr = os.Stderr, os.Stderr
	w.cmd.Cancel = func() error { return w.cmd.Process.Signal(syscall.SIGTERM) }
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	if err := w.ready(ctx); err != nil {
		return nil, errors.Join(err, w.stop())
	}
	text, err := os.ReadFile(filepath.Join(dir, "data", "credentials"))
	m := regexp.MustCompile(`(?s)aws_access_key_id\s*=\s*(\S+).*aws_secret_access_key\s*=\s*(\S+)`).FindSubmatch(text)
	if err != nil || m == nil {
		return nil, errors.Join(fmt.Errorf("no key in %s: %v", dir, err), w.stop())
	}
	w.keys = aws.Credentials{AccessKeyID: string(m[1]), SecretAccessKey: string(m[2])}
	return w, nil
}

func (w *weir) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if resp, err := http.Get(w.url + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("weir does not get ready")
		}
	}
}

func (w *weir) stop() error {
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return w.cmd.Wait()
}

// cpu is what the process has used so far.
func (w *weir) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	var ticks int64
	for _, f := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// api calls an operation of ECR's.
func (w *weir) api(ctx context.Context, op string, in []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/", strings.NewReader(string(in)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921."+op)
	sum := sha256.Sum256(in)
	if err := v4.NewSigner().SignHTTP(ctx, w.keys, req, hex.EncodeToString(sum[:]), "ecr", "local", time.Now()); err != nil {
		return nil, err
	}
	return read(req)
}

// get reads a path of the registry.
func (w *weir) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, nil)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(w.keys.AccessKeyID, w.keys.SecretAccessKey)
	return read(req)
}

func read(req *http.Request) ([]byte, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %.300s", req.Method, req.URL, resp.Status, body)
	}
	return body, err
}
