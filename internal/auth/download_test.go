package auth_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
)

var layer = digest.FromString("layer")

// download asks with a URL, and says who asked.
func download(a *auth.Auth, url, repo string, d digest.Digest) (iam.Caller, error) {
	return a.Download(httptest.NewRequest("GET", url, nil), repo, d)
}

// TestDownloadURL: a download URL is for one blob of one repository, for an hour, and for
// as long as its access key counts.
func TestDownloadURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, keys := &rows{}, newKeys(t)
		a := issuer(t, db, keys, meta.Key{})
		c, err := a.Basic(t.Context(), home, "AKIAANN", "secret")
		if err != nil {
			t.Fatal(err)
		}
		url, err := a.DownloadURL(c, "https://weir.example:5000", "team/app", layer)
		if err != nil || !strings.HasPrefix(url, "https://weir.example:5000/download/team/app/"+string(layer)+"?") {
			t.Fatalf("%s, %v", url, err)
		}
		got, err := download(a, url, "team/app", layer)
		if err != nil || got.Name != "ann" || got.KeyID != "AKIAANN" || len(got.Policies) != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		for name, tt := range map[string]struct {
			url, repo string
			d         digest.Digest
		}{
			"another repository": {url, "team/other", layer},
			"another blob":       {url, "team/app", digest.FromString("x")},
			"another key":        {strings.Replace(url, "key=AKIAANN", "key=AKIABOB", 1), "team/app", layer},
			"a later end":        {strings.Replace(url, "expires=", "expires=9", 1), "team/app", layer},
			"no end":             {strings.Replace(url, "expires=", "x=", 1), "team/app", layer},
			"no signature":       {strings.Replace(url, "signature=", "x=", 1), "team/app", layer},
			"an empty signature": {url[:strings.Index(url, "signature=")+len("signature=")], "team/app", layer},
			"a broken query":     {url + "&%zz", "team/app", layer},
			"nothing":            {"/", "team/app", layer},
		} {
			if _, err := download(a, tt.url, tt.repo, tt.d); errs.CodeOf(err) != errs.Denied {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := download(auth.New(db, newKeys(t), auth.Options{Registry: account}), url, "team/app", layer); errs.CodeOf(err) != errs.Denied {
			t.Errorf("another keys file: %v", err)
		}
		if _, err := download(auth.New(db, keys, auth.Options{Registry: "999999999999"}), url, "team/app", layer); errs.CodeOf(err) != errs.Denied {
			t.Errorf("another registry: %v", err)
		}
		if _, err := a.DownloadURL(iam.Caller{Name: "anonymous", Anonymous: true}, "", "team/app", layer); errs.CodeOf(err) != errs.Denied {
			t.Errorf("without an access key: %v", err)
		}
		<-time.After(59 * time.Minute)
		if _, err := download(a, url, "team/app", layer); err != nil {
			t.Errorf("within the hour: %v", err)
		}
		<-time.After(time.Minute)
		if _, err := download(a, url, "team/app", layer); errs.CodeOf(err) != errs.Denied || !strings.Contains(err.Error(), "over") {
			t.Errorf("after it: %v", err)
		}

		url, err = a.DownloadURL(c, "", "team/app", layer)
		if err != nil {
			t.Fatal(err)
		}
		k, err := db.Key(t.Context(), "AKIAANN")
		k.Active = false
		if err != nil || db.PutKey(t.Context(), k) != nil {
			t.Fatal(err)
		}
		if _, err := download(a, url, "team/app", layer); errs.CodeOf(err) != errs.Denied || !strings.Contains(err.Error(), "not active any more") {
			t.Errorf("without its key: %v", err)
		}
	})
}
