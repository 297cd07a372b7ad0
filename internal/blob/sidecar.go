package blob

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/vfs"
)

// maxSidecar bounds what is read of a sidecar, in bytes.
const maxSidecar = 4 << 10

// sidecar is the file beside a spool that says what its bytes are to become, and
// under which boot of the kernel they were written. It is made before the spool.
type sidecar struct {
	Host   string        `json:"host"`
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"` // -1: not known
	Boot   string        `json:"boot"`
	// Sound is how many bytes from the file's beginning certainly came. It is there
	// once bytes came before their turn, as the file may have holes then.
	Sound *int64 `json:"sound,omitempty"`
}

// name returns a spool's file, the same for a key in every process.
func (s *Spools) name(k Key) string {
	host := sha256.Sum256([]byte(k.Host))
	return fmt.Sprintf("%s/%s-%s.%x", s.dir, k.Digest.Algorithm(), k.Digest.Encoded(), host[:16])
}

func sidecarOf(name string) string { return name + ".json" }

func (s *Spools) writeSidecar(name string, c sidecar) error {
	return s.writeJSON(sidecarOf(name), c)
}

// replaceSidecar is writeSidecar that leaves the old one or the new one whole,
// wherever the process ends.
func (s *Spools) replaceSidecar(name string, c sidecar) error {
	next := name + ".next.json"
	err := s.writeJSON(next, c)
	if err == nil {
		err = s.fs.Rename(next, sidecarOf(name))
	}
	if err != nil {
		_ = s.fs.Remove(next) // if it cannot be, OpenSpools does
	}
	return err
}

func (s *Spools) writeJSON(file string, c sidecar) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	f, err := s.fs.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

func (s *Spools) readSidecar(name string) (sidecar, error) {
	var c sidecar
	b, err := vfs.ReadFile(s.fs, sidecarOf(name), maxSidecar)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(b, &c)
}

// leftover says whether a folder's entry is a spool that can be resumed, and when
// it was last written.
func (s *Spools) leftover(e fs.DirEntry) (k Key, at time.Time, ok bool) {
	name := s.dir + "/" + e.Name()
	if !e.Type().IsRegular() || strings.HasSuffix(name, ".json") {
		return k, at, false
	}
	c, err := s.readSidecar(name)
	if err != nil || c.Sound != nil && *c.Sound < 0 || s.boot == "" || c.Boot != s.boot {
		return k, at, false
	}
	k = Key{c.Host, c.Digest}
	if _, err := oci.ParseDigest(string(k.Digest)); err != nil || s.name(k) != name {
		return k, at, false
	}
	info, err := e.Info()
	if err != nil || time.Since(info.ModTime()) >= keepFor {
		return k, at, false
	}
	return k, info.ModTime(), true
}
