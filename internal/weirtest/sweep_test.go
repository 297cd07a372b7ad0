package weirtest_test

import (
	"net/http"
	"testing"
	"time"
)

// TestSweepBesideClients is a client between manifest and layers, and a push that was
// told that a layer is there, while sweeps go by times to come.
func TestSweepBesideClients(t *testing.T) {
	m := newModel(t)
	repo, image := modelOwn[0], m.things[0]
	for _, b := range image.blobs {
		m.upload(t, repo, b, 0)
	}
	m.push(t, repo, 0, "t")
	manifest := "/v2/" + repo + "/manifests/" + string(image.Digest)
	layer := "/v2/" + repo + "/blobs/" + string(m.blob(image.blobs[1]))

	// The manifest is pulled, then deleted: its layers stay for retain.grace, one minute.
	before := time.Now()
	m.ask(t, http.MethodGet, manifest, "", nil).want(t, "pull", http.StatusOK)
	m.deleteThing(t, repo, 0)
	m.s.Restart(m.start)
	m.s.Sweep(before.Add(time.Minute))
	m.ask(t, http.MethodGet, layer, "", nil).want(t, "layer of the pulled image", http.StatusOK)

	// A push asks for a layer: it is there, and so it stays for retain.idle, a day.
	asked := time.Now()
	m.ask(t, http.MethodHead, layer, "", nil).want(t, "layer that a push asks for", http.StatusOK)
	m.s.Restart(m.start) // the time is in the database
	m.s.Sweep(asked.Add(24 * time.Hour))
	delete(m.own[repo].links, image.blobs[0])
	m.same(t, repo)
	m.upload(t, repo, image.blobs[0], 1)
	m.push(t, repo, 0, "t")
	m.same(t, repo)

	m.deleteThing(t, repo, 0)
	if n := m.s.Sweep(time.Now().Add(48 * time.Hour)); n != len(image.blobs) {
		t.Errorf("%d blobs were swept", n)
	}
	m.ask(t, http.MethodGet, layer, "", nil).want(t, "layer after a sweep", http.StatusNotFound)
}

// TestPushedTag: a tag is what it was pushed as last, though an older image of it is
// whole and this one is not.
func TestPushedTag(t *testing.T) {
	m := newModel(t)
	repo, image := modelOwn[0], m.things[0]
	for _, b := range image.blobs {
		m.upload(t, repo, b, 0)
	}
	m.push(t, repo, 0, "t")
	m.same(t, repo)
	m.deleteThing(t, repo, 1)
	m.push(t, repo, 3, "t") // an index of it and of one that is not there
	m.same(t, repo)
	m.push(t, repo, 0, "u")
	m.deleteBlob(t, repo, image.blobs[0])
	m.push(t, repo, 3, "u")
	m.same(t, repo)
}
