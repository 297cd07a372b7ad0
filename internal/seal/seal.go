// Package seal keeps secrets sealed: what must be had back in plain (access keys,
// because SigV4 needs the secret itself) is stored encrypted under a key that is
// not where the rows are.
//
// A sealed text is AES-256-GCM, bound to a context that the caller names, so that
// a row's secret cannot be moved to another row. It names the key that sealed it.
// Keys for other uses are derived from the same file.
//
// It does not protect against who can read the keys file, and whoever loses that
// file loses every secret: a backup needs it.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/weir-registry/weir/internal/vfs"
)

// The layout of a sealed text: version, key ID, nonce, ciphertext with its tag.
const (
	version   = 1
	keyIDSize = 8
	keySize   = 32
)

// header is the first line of a keys file, so that a file of something else is
// never taken for one.
const header = "weir keys 1"

// ErrOtherKeys says that a text was sealed with another keys file.
var ErrOtherKeys = errors.New("sealed with another keys file")

// Keys seals and opens. It is safe for concurrent use.
type Keys struct {
	id   [keyIDSize]byte
	aead cipher.AEAD
	root []byte // what other keys are derived from
}

// Open reads the keys file name, or makes it (mode 0600) if there is none. It is
// whole or not there after a crash. One process at a time may open a name that
// does not exist yet.
func Open(files vfs.FS, name string) (*Keys, error) {
	k, err := read(files, name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(files, name); err != nil {
			return nil, fmt.Errorf("make keys file %s: %w", name, err)
		}
		k, err = read(files, name)
	}
	if err == nil {
		// Also of a file that was there: its maker may have ended before this.
		err = files.SyncDir(path.Dir(name))
	}
	if err != nil {
		return nil, fmt.Errorf("keys file %s: %w", name, err)
	}
	return k, nil
}

func read(files vfs.FS, name string) (_ *Keys, err error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("its mode %#o lets others read or change it: chmod 600 it", info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return nil, err
	}
	return parse(text)
}

// parse reads the header line and the line with the key in hex.
func parse(text []byte) (*Keys, error) {
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != 2 || lines[0] != header {
		return nil, fmt.Errorf("it is damaged or of another program: it does not begin with %q and have one key; restore it from a backup", header)
	}
	secret, err := hex.DecodeString(lines[1])
	if err != nil || len(secret) != keySize {
		return nil, errors.New("its key is damaged: restore the file from a backup")
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	k := &Keys{}
	if k.aead, err = cipher.NewGCM(block); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte("weir key id\n"), secret...))
	copy(k.id[:], sum[:])
	if k.root, err = hkdf.Extract(sha256.New, secret, []byte("weir derived keys")); err != nil {
		return nil, err
	}
	return k, nil
}

// Derive returns a key of 32 bytes for one purpose, such as signing one kind of
// token: always the same from the same keys file, and no help to find the keys of
// other purposes or to open what is sealed.
func (k *Keys) Derive(purpose string) []byte {
	key, err := hkdf.Expand(sha256.New, k.root, purpose, keySize)
	if err != nil {
		panic(err) // only of lengths over 255 hashes
	}
	return key
}

// create writes a new keys file beside its place and moves it there when its
// bytes are durable.
func create(files vfs.FS, name string) error {
	secret := make([]byte, keySize)
	rand.Read(secret) // never fails
	tmp := name + ".tmp"
	if err := files.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // a crash left it half written
	}
	f, err := files.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s\n%x\n", header, secret)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return files.Rename(tmp, name)
}

// Seal encrypts plain. The same context opens it, no other does.
func (k *Keys) Seal(plain, context []byte) []byte {
	out := make([]byte, 1+keyIDSize+k.aead.NonceSize(), 1+keyIDSize+k.aead.NonceSize()+len(plain)+k.aead.Overhead())
	out[0] = version
	copy(out[1:], k.id[:])
	nonce := out[1+keyIDSize:]
	rand.Read(nonce) // never fails
	return k.aead.Seal(out, nonce, plain, k.bind(out[:1+keyIDSize], context))
}

// Open decrypts what Seal made. Errors: ErrOtherKeys, or that the text is damaged
// or was sealed for another context.
func (k *Keys) Open(sealed, context []byte) ([]byte, error) {
	n := 1 + keyIDSize
	if len(sealed) < n+k.aead.NonceSize() || sealed[0] != version {
		return nil, errors.New("sealed text is damaged, or of a newer version")
	}
	if !bytes.Equal(sealed[1:n], k.id[:]) {
		return nil, ErrOtherKeys
	}
	nonce, text := sealed[n:n+k.aead.NonceSize()], sealed[n+k.aead.NonceSize():]
	plain, err := k.aead.Open(nil, nonce, text, k.bind(sealed[:n], context))
	if err != nil {
		return nil, errors.New("sealed text is damaged, or was sealed for something else")
	}
	return plain, nil
}

// bind is what is authenticated beside the text: its header and the context.
func (k *Keys) bind(head, context []byte) []byte {
	return append(bytes.Clone(head), context...)
}
