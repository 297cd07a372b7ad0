package weirtest_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// The small world that the model is of.
var (
	modelOwn   = []string{"own/a", "own/b"}
	modelNames = []string{"app", "web"} // at the upstream; up/app and up/web here
	modelTags  = []string{"t", "u"}
)

// thing is a manifest of the model: its blobs by number, or its children.
type thing struct {
	oci.Manifest
	blobs    []int
	children []int
}

// universe is what there may be, the same in each run.
type universe struct {
	blobs  [][]byte
	things []thing // children before their index
}

func newUniverse() *universe {
	u := &universe{}
	for i, n := range []int{0, 1, 300, 70 << 10, 200 << 10} {
		u.blobs = append(u.blobs, bytes.Repeat([]byte{byte('a' + i)}, n))
	}
	add := func(t thing, fields map[string]any) {
		fields["schemaVersion"], fields["mediaType"] = 2, t.MediaType
		t.Raw, _ = json.Marshal(fields) // of maps and strings only
		t.Digest, t.Size = digest.FromBytes(t.Raw), int64(len(t.Raw))
		u.things = append(u.things, t)
	}
	for _, blobs := range [][]int{{1, 3}, {1, 2, 4}, {2, 0}} {
		var layers []any
		for _, b := range blobs[1:] {
			layers = append(layers, u.descriptor("application/octet-stream", u.blobs[b]))
		}
		add(thing{Manifest: oci.Manifest{Descriptor: oci.Descriptor{MediaType: oci.MediaTypeManifest}}, blobs: blobs},
			map[string]any{"layers": layers, "config": u.descriptor("application/vnd.oci.image.config.v1+json", u.blobs[blobs[0]])})
	}
	var children []any
	for _, c := range u.things[:2] {
		children = append(children, u.descriptor(c.MediaType, c.Raw))
	}
	add(thing{Manifest: oci.Manifest{Descriptor: oci.Descriptor{MediaType: oci.MediaTypeIndex}}, children: []int{0, 1}},
		map[string]any{"manifests": children})
	return u
}

func (u *universe) descriptor(mediaType string, b []byte) map[string]any {
	return map[string]any{"mediaType": mediaType, "digest": digest.FromBytes(b), "size": len(b)}
}

func (u *universe) blob(i int) digest.Digest { return digest.FromBytes(u.blobs[i]) }

// repository is what one has, by the numbers of blobs and things.
type repository struct {
	links  map[int]bool
	things map[int]bool
	tags   map[string]int
}

func newRepository() *repository {
	return &repository{map[int]bool{}, map[int]bool{}, map[string]int{}}
}

// named says whether a manifest that is here names the blob.
func (r *repository) named(u *universe, blob int) bool {
	for m := range r.things {
		if slices.Contains(u.things[m].blobs, blob) {
			return true
		}
	}
	return false
}

// model is what a weir is to have.
type model struct {
	*universe
	up    *upstreamtest.Registry
	s     *weirtest.Server
	start string // settings

	own map[string]*repository

	// What a client was given of the cache stays, so these only grow.
	held map[string]*repository      // by name at the upstream; tags are what they were when pulled last
	ever map[string]map[string][]int // what an upstream's tag has been since it was pulled last
	has  map[string]*repository      // what the upstream has
	open map[int]bool                // blobs that came without a credential: any name here may have them
	away bool
}

func newModel(t *testing.T) *model {
	m := &model{
		universe: newUniverse(), up: upstreamtest.New(upstreamtest.Options{}),
		own: map[string]*repository{}, held: map[string]*repository{}, ever: map[string]map[string][]int{}, has: map[string]*repository{}, open: map[int]bool{},
	}
	m.start = weirtest.Settings(m.up.Listen(t), "window: 0, prefetch: off", "retain: {grace: 1m}\ntimeouts: {wait: 100ms}\n")
	m.s = weirtest.Start(t, m.start)
	m.s.Stop()
	db, err := meta.Open(t.Context(), meta.Options{Path: filepath.Join(m.s.Folder, "data", "weir.db")})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range modelOwn {
		m.own[name] = newRepository()
		if err := db.CreateRepository(t.Context(), meta.Repository{Name: name, Created: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range modelNames {
		m.held[name], m.has[name], m.ever[name] = newRepository(), newRepository(), map[string][]int{}
	}
	m.s.Restart(m.start)
	return m
}

// answer is what weir said.
type answer struct {
	status int
	digest digest.Digest
	place  string
	source string
	body   []byte
}

// T is a rapid.T, or what collects for one in another goroutine.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
}

// ask asks weir with a body, and reads the answer.
func (m *model) ask(t T, method, path, contentType string, body []byte) answer {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+m.s.Addr+path, bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%v", err)
	}
	req.SetBasicAuth(m.s.Key.ID, m.s.Key.Secret)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, digest: digest.Digest(resp.Header.Get("Docker-Content-Digest")), place: resp.Header.Get("Location"), source: resp.Header.Get("X-Weir-Cache")}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatalf("%s %s: status %d, %v", method, path, a.status, err)
	}
	return a
}

func (a answer) want(t T, what string, statuses ...int) {
	t.Helper()
	if !slices.Contains(statuses, a.status) {
		t.Fatalf("%s: status %d, want %v: %s", what, a.status, statuses, a.body)
	}
}

func have(is bool) int {
	if is {
		return http.StatusOK
	}
	return http.StatusNotFound
}

// upload sends a blob in one of three ways. A sweep may run that goes by a time to
// come, and take what has just come before it has a row: the client sends it again.
func (m *model) upload(t T, repo string, blob, way int) {
	t.Helper()
	d, data, base := string(m.blob(blob)), m.blobs[blob], "/v2/"+repo+"/blobs/uploads/"
	for try := 0; ; try++ {
		var a answer
		if way == 0 {
			a = m.ask(t, http.MethodPost, base+"?digest="+d, "application/octet-stream", data)
		} else {
			begun := m.ask(t, http.MethodPost, base, "", nil)
			begun.want(t, "start of an upload", http.StatusAccepted)
			if way == 2 {
				part := m.ask(t, http.MethodPatch, begun.place, "application/octet-stream", data[:len(data)/2])
				part.want(t, "part", http.StatusAccepted)
				data = data[len(data)/2:]
			}
			a = m.ask(t, http.MethodPut, begun.place+"?digest="+d, "application/octet-stream", data)
			data = m.blobs[blob]
		}
		if a.status == http.StatusServiceUnavailable && try < 50 {
			continue
		}
		a.want(t, "upload", http.StatusCreated)
		m.own[repo].links[blob] = true
		return
	}
}

// mount mounts a blob. sure is false if others may change the source meanwhile.
func (m *model) mount(t T, repo, from string, blob int, sure bool) {
	t.Helper()
	a := m.ask(t, http.MethodPost, fmt.Sprintf("/v2/%s/blobs/uploads/?mount=%s&from=%s", repo, m.blob(blob), from), "", nil)
	a.want(t, "mount", http.StatusCreated, http.StatusAccepted)
	mounted := a.status == http.StatusCreated
	if sure && mounted != m.own[from].links[blob] {
		t.Fatalf("mount of blob %d from %s: %t", blob, from, mounted)
	}
	if mounted {
		m.own[repo].links[blob] = true
	}
}

// push puts a manifest, by tag unless that is "".
func (m *model) push(t T, repo string, i int, tag string) {
	t.Helper()
	r, x := m.own[repo], m.things[i]
	ref := tag
	if ref == "" {
		ref = string(x.Digest)
	}
	want := http.StatusCreated
	for _, b := range x.blobs {
		if !r.links[b] {
			want = http.StatusNotFound
		}
	}
	a := m.ask(t, http.MethodPut, "/v2/"+repo+"/manifests/"+ref, x.MediaType, x.Raw)
	a.want(t, fmt.Sprintf("push of %d to %s", i, repo), want)
	if want == http.StatusCreated {
		r.things[i] = true
		if tag != "" {
			r.tags[tag] = i
		}
	}
}

func (m *model) deleteTag(t T, repo, tag string) {
	t.Helper()
	r := m.own[repo]
	a := m.ask(t, http.MethodDelete, "/v2/"+repo+"/manifests/"+tag, "", nil)
	want := http.StatusNotFound
	if _, ok := r.tags[tag]; ok {
		want = http.StatusAccepted
	}
	a.want(t, "deletion of a tag", want)
	delete(r.tags, tag)
}

func (m *model) deleteThing(t T, repo string, i int) {
	t.Helper()
	r := m.own[repo]
	a := m.ask(t, http.MethodDelete, "/v2/"+repo+"/manifests/"+string(m.things[i].Digest), "", nil)
	for index := range r.things {
		if slices.Contains(m.things[index].children, i) {
			a.want(t, "deletion of an index's child", http.StatusConflict, http.StatusNotFound)
			return
		}
	}
	if !r.things[i] {
		a.want(t, "deletion of nothing", http.StatusNotFound)
		return
	}
	a.want(t, "deletion", http.StatusAccepted)
	delete(r.things, i)
	maps.DeleteFunc(r.tags, func(_ string, of int) bool { return of == i })
}

func (m *model) deleteBlob(t T, repo string, blob int) {
	t.Helper()
	r := m.own[repo]
	a := m.ask(t, http.MethodDelete, "/v2/"+repo+"/blobs/"+string(m.blob(blob)), "", nil)
	want := http.StatusNotFound
	if r.links[blob] {
		want = http.StatusAccepted
	}
	a.want(t, "deletion of a blob", want)
	delete(r.links, blob)
}

// same compares everything that an own repository has with the model.
func (m *model) same(t T, repo string) {
	t.Helper()
	r := m.own[repo]
	for b := range m.blobs {
		path := "/v2/" + repo + "/blobs/" + string(m.blob(b))
		head, get := m.ask(t, http.MethodHead, path, "", nil), m.ask(t, http.MethodGet, path, "", nil)
		what := fmt.Sprintf("blob %d of %s", b, repo)
		head.want(t, "HEAD of "+what, have(r.links[b]))
		get.want(t, what, have(r.links[b]))
		if r.links[b] && !bytes.Equal(get.body, m.blobs[b]) {
			t.Fatalf("%s has %d other bytes", what, len(get.body))
		}
	}
	for i, x := range m.things {
		get := m.ask(t, http.MethodGet, "/v2/"+repo+"/manifests/"+string(x.Digest), "", nil)
		get.want(t, fmt.Sprintf("manifest %d of %s", i, repo), have(r.things[i]))
		if r.things[i] && !bytes.Equal(get.body, x.Raw) {
			t.Fatalf("manifest %d of %s has other bytes", i, repo)
		}
	}
	for _, tag := range modelTags {
		i, ok := r.tags[tag]
		head := m.ask(t, http.MethodHead, "/v2/"+repo+"/manifests/"+tag, "", nil)
		head.want(t, "tag "+repo+":"+tag, have(ok))
		if ok && head.digest != m.things[i].Digest {
			t.Fatalf("tag %s:%s is %s, want %d", repo, tag, head.digest, i)
		}
	}
}

// publish puts an image at the upstream, and a tag on it.
func (m *model) publish(name string, i int, tag string) {
	for _, c := range m.things[i].children {
		m.publish(name, c, "")
	}
	for _, b := range m.things[i].blobs {
		m.up.PutBlob(name, m.blobs[b])
		m.has[name].links[b] = true
	}
	m.up.PutManifest(name, tag, m.things[i].MediaType, m.things[i].Raw)
	m.has[name].things[i] = true
	if tag != "" {
		m.has[name].tags[tag] = i
		m.ever[name][tag] = append(m.ever[name][tag], i)
	}
}

// index returns the number of a manifest.
func (m *model) index(d digest.Digest) int {
	return slices.IndexFunc(m.things, func(x thing) bool { return x.Digest == d })
}

// pullTag pulls by tag what a rule caches: what is held is served, whatever the
// upstream is doing; what is served is what the tag was at some time since it was
// pulled last.
func (m *model) pullTag(t T, name, tag string) {
	t.Helper()
	a := m.ask(t, http.MethodGet, "/v2/up/"+name+"/manifests/"+tag, "", nil)
	was, held := m.held[name].tags[tag]
	what := fmt.Sprintf("pull of up/%s:%s", name, tag)
	if held {
		a.want(t, what+", which is held", http.StatusOK)
	}
	if a.status != http.StatusOK {
		a.want(t, what, http.StatusNotFound, http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusServiceUnavailable)
		return
	}
	i := m.index(digest.FromBytes(a.body))
	if !(held && i == was || slices.Contains(m.ever[name][tag], i)) {
		t.Fatalf("%s is %d; it was %d (held: %t), and has been %v", what, i, was, held, m.ever[name][tag])
	}
	// Of what it has been, what came before is over.
	if at := slices.Index(m.ever[name][tag], i); at > 0 {
		m.ever[name][tag] = m.ever[name][tag][at:]
	}
	m.held[name].tags[tag], m.held[name].things[i] = i, true
}

func (m *model) pullThing(t T, name string, i int) {
	t.Helper()
	x := m.things[i]
	a := m.ask(t, http.MethodGet, "/v2/up/"+name+"/manifests/"+string(x.Digest), "", nil)
	what := fmt.Sprintf("pull of up/%s, manifest %d", name, i)
	m.given(t, what, a, m.held[name].things[i], m.has[name].things[i], x.Raw)
	if a.status == http.StatusOK {
		m.held[name].things[i] = true
	}
}

func (m *model) pullBlob(t T, name string, b int) {
	t.Helper()
	a := m.ask(t, http.MethodGet, "/v2/up/"+name+"/blobs/"+string(m.blob(b)), "", nil)
	r := m.held[name]
	m.given(t, fmt.Sprintf("pull of up/%s, blob %d", name, b), a, r.links[b], m.has[name].links[b] || m.open[b], m.blobs[b])
	if a.status == http.StatusOK && !r.links[b] {
		m.open[b] = true
		m.stored(t, name, b)
		r.links[b] = true
	}
}

// stored waits until a blob that a client has had is held, by its row too: its last
// bytes go out before that.
func (m *model) stored(t T, name string, b int) {
	t.Helper()
	for late := time.Now().Add(time.Minute); time.Now().Before(late); {
		a := m.ask(t, http.MethodGet, "/v2/up/"+name+"/blobs/"+string(m.blob(b)), "", nil)
		if a.source == "hit" {
			return
		}
	}
	t.Fatalf("blob %d of up/%s does not come to be held", b, name)
}

func (m *model) network() {
	if m.away {
		m.up.Script(upstreamtest.Fault{Status: http.StatusServiceUnavailable})
	} else {
		m.up.Script()
	}
}

// given checks the answer to a pull by digest.
func (m *model) given(t T, what string, a answer, held, there bool, data []byte) {
	t.Helper()
	switch {
	case held:
		a.want(t, what+", which is held", http.StatusOK)
	case there:
		a.want(t, what, http.StatusOK, http.StatusNotFound, http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusServiceUnavailable)
	default:
		a.want(t, what+", which the upstream never had", http.StatusNotFound, http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusServiceUnavailable)
	}
	if a.status == http.StatusOK && !bytes.Equal(a.body, data) {
		t.Fatalf("%s: %d other bytes", what, len(a.body))
	}
}

// sweep sweeps as of a time when everything is old, and compares what is left on the
// disk with what there is a reason for.
func (m *model) sweep(t T) {
	t.Helper()
	m.s.Sweep(time.Now().Add(48 * time.Hour))
	reasons := map[string]bool{}
	for _, r := range m.own {
		maps.DeleteFunc(r.links, func(b int, _ bool) bool { return !r.named(m.universe, b) })
		for b := range r.links {
			reasons[m.blob(b).Encoded()] = true
		}
	}
	for _, r := range m.held {
		maps.DeleteFunc(r.links, func(b int, _ bool) bool { return !r.named(m.universe, b) })
		for b := range m.blobs {
			if r.named(m.universe, b) {
				reasons[m.blob(b).Encoded()] = true
			}
		}
	}
	for _, name := range m.files(t) {
		if !reasons[name] {
			t.Fatalf("blob %s is left, and nothing needs it", name)
		}
	}
}

// files returns the names of the blobs on the disk.
func (m *model) files(t T) (names []string) {
	root := filepath.Join(m.s.Folder, "data", "blobs")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return names
}

// checks is how many runs of the model there are; WEIR_MODEL_CHECKS says another
// number.
func checks() string {
	if n := os.Getenv("WEIR_MODEL_CHECKS"); n != "" {
		return n
	}
	return "6"
}

// bounded sets how often rapid runs a property. It prints the seed of a failure.
func bounded(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{"rapid.checks": checks(), "rapid.nofailfile": "true", "rapid.shrinktime": "20s"} {
		f := flag.Lookup(name)
		old := f.Value.String()
		if err := f.Value.Set(value); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := f.Value.Set(old); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestModel does anything in any order through HTTP, and compares with maps.
func TestModel(t *testing.T) {
	bounded(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(t)
		defer m.s.Stop()
		repo, blob := rapid.SampledFrom(modelOwn), rapid.IntRange(0, len(m.blobs)-1)
		name, tag, thing := rapid.SampledFrom(modelNames), rapid.SampledFrom(modelTags), rapid.IntRange(0, len(m.things)-1)
		rt.Repeat(map[string]func(*rapid.T){
			"upload": func(t *rapid.T) {
				m.upload(t, repo.Draw(t, "repo"), blob.Draw(t, "blob"), rapid.IntRange(0, 2).Draw(t, "way"))
			},
			"mount": func(t *rapid.T) { m.mount(t, repo.Draw(t, "repo"), repo.Draw(t, "from"), blob.Draw(t, "blob"), true) },
			"push image": func(t *rapid.T) {
				r, i := repo.Draw(t, "repo"), thing.Draw(t, "manifest")
				for _, b := range m.things[i].blobs {
					m.upload(t, r, b, 0)
				}
				m.push(t, r, i, tag.Draw(t, "tag"))
			},
			"push": func(t *rapid.T) {
				m.push(t, repo.Draw(t, "repo"), thing.Draw(t, "manifest"), rapid.SampledFrom(append(modelTags, "")).Draw(t, "tag"))
			},
			"delete tag":      func(t *rapid.T) { m.deleteTag(t, repo.Draw(t, "repo"), tag.Draw(t, "tag")) },
			"delete manifest": func(t *rapid.T) { m.deleteThing(t, repo.Draw(t, "repo"), thing.Draw(t, "manifest")) },
			"delete blob":     func(t *rapid.T) { m.deleteBlob(t, repo.Draw(t, "repo"), blob.Draw(t, "blob")) },
			"publish":         func(t *rapid.T) { m.publish(name.Draw(t, "name"), thing.Draw(t, "manifest"), tag.Draw(t, "tag")) },
			"unpublish": func(t *rapid.T) {
				n, tag := name.Draw(t, "name"), tag.Draw(t, "tag")
				m.up.Remove(n, tag)
				delete(m.has[n].tags, tag)
			},
			"upstream":      func(t *rapid.T) { m.away = rapid.Bool().Draw(t, "away"); m.network() },
			"pull tag":      func(t *rapid.T) { m.pullTag(t, name.Draw(t, "name"), tag.Draw(t, "tag")) },
			"pull manifest": func(t *rapid.T) { m.pullThing(t, name.Draw(t, "name"), thing.Draw(t, "manifest")) },
			"pull blob":     func(t *rapid.T) { m.pullBlob(t, name.Draw(t, "name"), blob.Draw(t, "blob")) },
			"sweep early":   func(*rapid.T) { m.s.Sweep(time.Now()) },
			"sweep":         func(t *rapid.T) { m.sweep(t) },
			"restart":       func(*rapid.T) { m.s.Restart(m.start) },
		})
		for _, repo := range modelOwn {
			m.same(rt, repo)
		}
		m.s.Restart(m.start)
		m.sweep(rt)
		for _, repo := range modelOwn {
			m.same(rt, repo)
		}
		m.away = true
		m.network()
		for _, name := range modelNames {
			for _, tag := range modelTags {
				m.pullTag(rt, name, tag)
			}
			for b := range m.blobs {
				m.pullBlob(rt, name, b)
			}
		}
	})
}

// collector is a T for a goroutine of its own.
type collector struct{ said *string }

func (collector) Helper() {}

func (c collector) Fatalf(format string, args ...any) {
	*c.said = fmt.Sprintf(format, args...)
	panic(c)
}

// TestModelTogether has two clients at once, each with a repository of its own, that
// have the same blobs and mount each other's, while sweeps go by a time to come in
// which all that nothing links is old.
func TestModelTogether(t *testing.T) {
	bounded(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(t)
		defer m.s.Stop()
		type step struct{ op, blob, thing, tag, way int }
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{
				rapid.IntRange(0, 6).Draw(t, "op"), rapid.IntRange(0, len(m.blobs)-1).Draw(t, "blob"),
				rapid.IntRange(0, len(m.things)-1).Draw(t, "manifest"), rapid.IntRange(0, len(modelTags)-1).Draw(t, "tag"), rapid.IntRange(0, 2).Draw(t, "way"),
			}
		}), 5, 40)
		said, stepped := make([]string, len(modelOwn)), make(chan struct{}, 1)
		client := func(n int, steps []step) {
			c := collector{&said[n]}
			repo, other := modelOwn[n], modelOwn[1-n]
			for _, s := range steps {
				select {
				case stepped <- struct{}{}: // a sweep, beside what follows
				default:
				}
				tag := modelTags[s.tag]
				switch s.op {
				case 0:
					m.upload(c, repo, s.blob, s.way)
				case 1:
					m.mount(c, repo, other, s.blob, false)
				case 2:
					for _, b := range m.things[s.thing].blobs {
						m.upload(c, repo, b, s.way)
					}
					m.push(c, repo, s.thing, tag)
				case 3:
					m.push(c, repo, s.thing, "")
				case 4:
					m.deleteTag(c, repo, tag)
				case 5:
					m.deleteThing(c, repo, s.thing)
				case 6:
					m.deleteBlob(c, repo, s.blob)
				}
			}
			m.same(c, repo)
		}
		lists := [][]step{steps.Draw(rt, "first"), steps.Draw(rt, "second")}
		done := make(chan bool, len(lists))
		for n, steps := range lists {
			go func() {
				defer func() {
					_, failed := recover().(collector)
					done <- failed
				}()
				client(n, steps)
			}()
		}
		for running := len(lists); running > 0; {
			select {
			case <-done:
				running--
			case <-stepped:
				m.s.Sweep(time.Now().Add(2 * time.Minute))
			}
		}
		if all := strings.Join(said, ""); all != "" {
			rt.Fatalf("%s", all)
		}
		m.s.Restart(m.start)
		m.sweep(rt)
		for _, repo := range modelOwn {
			m.same(rt, repo)
		}
	})
}
