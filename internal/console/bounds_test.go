package console_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/console"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/weirtest"
)

const manifestOf = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` +
	`sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[],`

// put pushes something of the repository team/app as it is, and returns its digest.
func put(t *testing.T, s *weirtest.Server, method, path, mediaType, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr+"/v2/team/app/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(s.Key.ID, s.Key.Secret)
	req.Header.Set("Content-Type", mediaType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s: %s %.300s %v", method, path, resp.Status, text, err)
	}
	return digest.FromString(body).String()
}

// short fails the test unless the last page is short.
func (b *browser) short() {
	b.t.Helper()
	if n := len(b.body); n > 1<<20 {
		b.t.Errorf("%s has %d KiB", b.path, n>>10)
	}
}

// TestVastImages: pages about images that say very much of themselves stay short.
func TestVastImages(t *testing.T) {
	s := weirtest.Start(t, "")
	api(t, s, "AmazonEC2ContainerRegistry_V20150921.CreateRepository", map[string]string{"repositoryName": "team/app"}, nil)
	put(t, s, "POST", "blobs/uploads/?digest="+digest.FromString("{}").String(), "application/octet-stream", "{}")
	index := func(os, mediaType string, children int, tags ...string) (d string) {
		var list []string
		for n := range min(children, 12) {
			m := fmt.Sprintf(`%s"annotations":{"n":"%d"}}`, manifestOf, n)
			child := put(t, s, "PUT", "manifests/"+digest.FromString(m).String(), oci.MediaTypeManifest, m)
			list = append(list, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,"platform":{"os":%q,"architecture":"x"}}`, mediaType, child, len(m), os))
		}
		for len(list) < children {
			list = append(list, list[:min(children-len(list), 12)]...)
		}
		for _, tag := range tags {
			d = put(t, s, "PUT", "manifests/"+tag, oci.MediaTypeIndex, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, oci.MediaTypeIndex, strings.Join(list, ",")))
		}
		return d
	}
	quotes := func(n int) string { return strings.Repeat("'", n) }
	long := index(quotes(300<<10), oci.MediaTypeManifest, 12, "long1", "long2", "long3")
	many := index("linux", oci.MediaTypeManifest, 5000, "many")
	index(quotes(900), oci.MediaTypeManifest, 12, "wordy")
	typed := index("linux", oci.MediaTypeManifest+quotes(100<<10), 12, "typed")
	for n := range 4 {
		m := fmt.Sprintf(`%s"subject":{"mediaType":%q,"digest":%q,"size":1},"artifactType":"a%d/%s","annotations":{"note":"%s"}}`, manifestOf, oci.MediaTypeIndex, typed, n, quotes(3<<20), quotes(10<<10))
		put(t, s, "PUT", "manifests/"+digest.FromString(m).String(), oci.MediaTypeManifest, m)
	}

	b := signedIn(t, s, s.Key)
	page := "/console/repositories/team/app"
	b.get(page)
	b.shows(200, ">long1</a>", ">many</a>", ">typed</a>", "not known: it names very much", "and more, which is not shown", "…", "ready")
	b.short()
	for _, path := range []string{page + "?q=o", page + "?tab=untagged", page + "@" + long, page + "@" + many, page + "@" + typed} {
		b.get(path)
		b.shows(200)
		b.short()
	}
	b.shows(200, "note: ", "and more, which is not shown", "…")
	b.get(page + "@" + many)
	b.shows(200, "and more, which is not shown")
}

// TestPageBound: a page that were very long all the same is refused, and not made.
func TestPageBound(t *testing.T) {
	w := console.NewBounded()
	some := make([]byte, 1<<20)
	for range console.MaxPage >> 20 {
		if _, err := w.Write(some); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write(some[:1]); errs.CodeOf(err) != errs.LimitExceeded {
		t.Errorf("a byte more: %v", err)
	}
}
