package app

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/weir-registry/weir/internal/vfs"
)

// KeyFile is the file in the data folder that has the root access key, in the
// format of an AWS credentials file.
const KeyFile = "credentials"

// Key is an access key. Its secret is never printed.
type Key struct{ ID, Secret string }

func (k Key) String() string { return k.ID }

// writeKey writes the root access key's file, which must not be there.
func writeKey(dir vfs.FS, k Key) error {
	text := "# The root access key of this weir: it may do everything.\n" +
		"[default]\naws_access_key_id = " + k.ID + "\naws_secret_access_key = " + k.Secret + "\n"
	return writeNew(dir, KeyFile, []byte(text), 0o600)
}

// ReadKey reads the root access key from the data folder dir.
// Its error matches fs.ErrNotExist if no weir was started there.
func ReadKey(dir string) (Key, error) {
	name := filepath.Join(dir, KeyFile)
	f, err := os.Open(name)
	if err != nil {
		return Key{}, err
	}
	defer f.Close()
	var k Key
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), "=")
		if !ok {
			continue
		}
		switch strings.TrimSpace(key) {
		case "aws_access_key_id":
			k.ID = strings.TrimSpace(value)
		case "aws_secret_access_key":
			k.Secret = strings.TrimSpace(value)
		}
	}
	if err := lines.Err(); err != nil {
		return Key{}, err
	}
	if k.ID == "" || k.Secret == "" {
		return Key{}, fmt.Errorf("%s has no access key: remove it, and the next start writes it again", name)
	}
	return k, nil
}
