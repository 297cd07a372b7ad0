package e2e

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
)

// newCosign is cosign with a key pair, which asks nobody on the internet.
func newCosign(t *testing.T) (cosign command, key string) {
	t.Helper()
	dir := t.TempDir()
	cosign = command{tool(t, "cosign"), []string{"COSIGN_PASSWORD=", "DOCKER_CONFIG=" + dir, "HOME=" + dir, "TUF_ROOT=" + dir + "/tuf"}}
	key = filepath.Join(dir, "weir")
	cosign.ok(t, "generate-key-pair", "--output-key-prefix", key)
	return cosign, key
}

func (c command) cosignLogin(t *testing.T, addr, user, password string) {
	t.Helper()
	if out, err := c.run(t, password, "login", "-u", user, "--password-stdin", addr); err != nil {
		t.Fatalf("cosign login: %v\n%s", err, out)
	}
}

// sign signs an image, as an image beside it under a tag, or as what refers to it.
func (c command) sign(t *testing.T, key string, referrer bool, ref string) {
	t.Helper()
	args := []string{"sign", "--key", key + ".key", "--yes", "--allow-http-registry"}
	if referrer {
		config := filepath.Join(t.TempDir(), "signing.json")
		c.ok(t, "signing-config", "create", "--out", config)
		args = append(args, "--signing-config", config)
	} else {
		args = append(args, "--tlog-upload=false", "--use-signing-config=false", "--new-bundle-format=false")
	}
	c.ok(t, append(args, ref)...)
}

func (c command) verify(t *testing.T, key string, referrer bool, ref string) error {
	t.Helper()
	out, err := c.run(t, "", "verify", "--key", key+".pub", "--insecure-ignore-tlog", "--allow-http-registry", fmt.Sprintf("--new-bundle-format=%t", referrer), ref)
	if err != nil {
		return fmt.Errorf("cosign verify %s: %w\n%s", ref, err, out)
	}
	return nil
}

// What is signed at one weir is verified through another one that caches it, also
// when the first one is gone; so is what is signed at an upstream without referrers.
func TestCosign(t *testing.T) {
	if !withBuiltClients() {
		return
	}
	for _, c := range []struct {
		name     string
		referrer bool
	}{
		{"tag", false},
		{"referrer", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			u := newUpstream(t)
			img := u.push(t, repo, tag, first)
			near := newServer(t, u)
			far := newChained(t, near)
			cosign, key := newCosign(t)
			_, stranger := newCosign(t)
			cosign.cosignLogin(t, u.back, upstreamUser, upstreamPassword)
			cosign.cosignLogin(t, near.addr, near.id, near.secret)
			cosign.cosignLogin(t, far.addr, far.id, far.secret)

			near.create(t, "own/"+repo)
			crane := newCrane(t)
			crane.login(t, near.addr, near.id, near.secret)
			crane.ok(t, "copy", "--insecure", near.ref("day", repo+":"+tag), near.ref("own", repo+":"+tag))
			cosign.sign(t, key, c.referrer, near.ref("own", repo+"@"+img.index))
			cosign.sign(t, key, c.referrer, u.back+"/"+repo+"@"+img.index)

			through := []string{near.ref("own", repo+"@"+img.index), near.ref("day", repo+":"+tag), far.ref(chain, "own/"+repo+":"+tag)}
			for _, ref := range through {
				if err := cosign.verify(t, key, c.referrer, ref); err != nil {
					t.Error(err)
				}
				if err := cosign.verify(t, stranger, c.referrer, ref); err == nil {
					t.Errorf("%s verifies with a stranger's key", ref)
				}
			}
			u.kill()
			near.p.end(syscall.SIGKILL)
			if err := cosign.verify(t, key, c.referrer, through[2]); err != nil {
				t.Errorf("upstream gone: %v", err)
			}
			near.start(t)
			for _, ref := range through[:2] {
				if err := cosign.verify(t, key, c.referrer, ref); err != nil {
					t.Errorf("upstream gone: %v", err)
				}
			}
		})
	}
}
