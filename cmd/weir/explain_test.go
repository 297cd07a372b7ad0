package main_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// TestExplain asks the binary about an image while it comes, is here, and moves.
func TestExplain(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	img, next := upstreamtest.NewImage(1, 1000), upstreamtest.NewImage(2, 1000)
	up.Push("app", "v1", img)
	s := weirtest.Start(t, weirtest.Settings(up.Listen(t), "prefetch: off", ""))
	weir := func(verb, ref string, want ...string) {
		t.Helper()
		out, err := exec.Command(os.Getenv("WEIR_BIN"), verb, "--data", filepath.Join(s.Folder, "data"), s.Addr+"/"+ref).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, w := range want {
			if !regexp.MustCompile("(?m)" + w).Match(out) {
				t.Errorf("%s %s says\n%swithout %s", verb, ref, out, w)
			}
		}
	}
	get := func(path string) {
		t.Helper()
		resp := s.Do(http.MethodGet, "/v2/up/app/"+path, nil)
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", path, resp.Status, err)
		}
	}
	d := string(img.Digest)

	weir("explain", "up/app:v1", `^held +no$`, `^next check +at the next pull$`)
	get("manifests/v1")
	weir("explain", "up/app:v1",
		`^held +in part: `+d+`$`, `^missing +config sha256:\w+, \d+ bytes$`, `^missing +layer sha256:\w+, 1000 bytes$`,
		`^last check +\S+Z \(\ds ago\)$`, `^next check +at the first pull after \S+Z \(in (24h0m0s|23h59m\S+)\)$`, `^moved +\S+ \(\ds ago\): nothing -> `+d+`$`)
	for blob := range img.Blobs() {
		get("blobs/" + blob.String())
	}
	weir("explain", "up/app:v1", `^held +yes, whole: `+d+`$`)
	weir("explain", "up/app@"+d, `^held +yes, whole: `+d+`$`, `^checks +none: a digest cannot change$`)

	weir("check-now", "up/app:v1", `^unchanged: `+d+`$`)
	up.Push("app", "v1", next)
	weir("check-now", "up/app:v1", `^moved: `+string(next.Digest)+`, before `+d+`$`)
	weir("explain", "up/app:v1", `^held +in part: `+string(next.Digest)+`$`, `^last whole +`+d+`$`, d+` -> `+string(next.Digest))
}
