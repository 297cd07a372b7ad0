package registry_test

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/registry"
)

// letters returns n bytes that are not all the same.
func letters(n int) string {
	return strings.Repeat("abcdefghijklmnopqrstuvwxyz", n/26+1)[:n]
}

// TestLayerParts: what ECR asks of parts, one after another.
func TestLayerParts(t *testing.T) {
	const min = registry.MinPart
	part := func(start int64, s string) registry.Part { return chunkOf(start, s) }
	said := func(p registry.Part, end, length int64) registry.Part {
		p.End, p.Length = end, length
		return p
	}
	whole := letters(min) + "rest"
	for _, tt := range []struct {
		name  string
		parts []registry.Part
		want  []errs.Code // of the parts; Internal: none
		size  int64
		ends  errs.Code
		of    string // what is completed
	}{
		{"none", nil, nil, 0, errs.UploadEmpty, ""},
		{"one short part", []registry.Part{part(0, "short")}, []errs.Code{errs.Internal}, 5, errs.Internal, "short"},
		{"the last is short", []registry.Part{part(0, whole[:min]), part(min, "rest")}, []errs.Code{0, 0}, min + 4, errs.Internal, whole},
		{"the first is short", []registry.Part{part(0, "short"), part(5, "er")}, []errs.Code{0, 0}, 7, errs.PartTooSmall, "shorter"},
		{"another digest", []registry.Part{part(0, "short")}, []errs.Code{0}, 5, errs.DigestMismatch, "other"},
		{"a gap", []registry.Part{part(0, "ab"), part(3, "d")}, []errs.Code{0, errs.RangeInvalid}, 2, errs.Internal, "ab"},
		{"over what is there", []registry.Part{part(0, "ab"), part(1, "c")}, []errs.Code{0, errs.RangeInvalid}, 2, errs.Internal, "ab"},
		{"the last again", []registry.Part{part(0, whole[:min]), part(min, "rest"), part(min, "rest")}, []errs.Code{0, 0, 0}, min + 4, errs.Internal, whole},
		{"the last again, otherwise", []registry.Part{part(0, "ab"), part(0, "ax")}, []errs.Code{0, errs.RangeInvalid}, 2, errs.Internal, "ab"},
		{"the last again, shorter", []registry.Part{part(0, "ab"), part(0, "a")}, []errs.Code{0, errs.RangeInvalid}, 2, errs.Internal, "ab"},
		{"one before the last again", []registry.Part{part(0, "ab"), part(2, "c"), part(0, "ab")}, []errs.Code{0, 0, errs.RangeInvalid}, 3, errs.PartTooSmall, "abc"},
		{"longer than it says", []registry.Part{said(part(0, "abc"), 1, 3)}, []errs.Code{errs.SizeInvalid}, 0, errs.UploadEmpty, ""},
		{"no bytes", []registry.Part{part(0, "")}, []errs.Code{errs.SizeInvalid}, 0, errs.UploadEmpty, ""},
		{"a last byte beyond everything", []registry.Part{said(part(0, "a"), 1<<63-1, 1)}, []errs.Code{errs.SizeInvalid}, 0, errs.UploadEmpty, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, onDisk(t))
			ctx, id := t.Context(), w.begin()
			for i, p := range tt.parts {
				_, err := w.AppendLayerPart(ctx, root, "team/app", id, p)
				if errs.CodeOf(err) != tt.want[i] || tt.want[i] == 0 && err != nil {
					t.Fatalf("part %d: %v, want %s", i, err, tt.want[i])
				}
			}
			if u, err := w.Upload(ctx, root, "team/app", id); err != nil || u.Size != tt.size {
				t.Fatalf("%+v, %v; want %d bytes", u, err, tt.size)
			}
			d := digest.FromString(tt.of)
			err := w.FinishLayer(ctx, root, "team/app", id, d)
			if errs.CodeOf(err) != tt.ends || tt.ends == 0 && err != nil {
				t.Fatalf("%v, want %s", err, tt.ends)
			}
			if tt.ends != 0 {
				return
			}
			if got := w.content("team/app", d); got != tt.of {
				t.Errorf("the layer has %d bytes, want %d", len(got), len(tt.of))
			}
			if err := w.FinishLayer(ctx, root, "team/app", id, d); errs.CodeOf(err) != errs.UploadUnknown {
				t.Errorf("completed again: %v", err)
			}
		})
	}
}

// TestLayerAndBlob: an upload of one face is one of the other's, over a restart too.
func TestLayerAndBlob(t *testing.T) {
	dir := onDisk(t)
	w := newWorld(t, dir)
	ctx, id := t.Context(), w.begin()
	if _, err := w.AppendUpload(ctx, root, "team/app", id, stream("one ")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.AppendLayerPart(ctx, root, "team/app", id, chunkOf(4, "two ")); err != nil {
		t.Fatal(err)
	}
	w.start(dir)
	if _, err := w.AppendLayerPart(ctx, root, "team/app", id, chunkOf(4, "two ")); err != nil {
		t.Fatalf("the last part again after a restart: %v", err)
	}
	if _, err := w.AppendLayerPart(ctx, root, "team/app", id, chunkOf(8, "three")); err != nil {
		t.Fatal(err)
	}
	d := digest.FromString("one two three")
	if err := w.FinishLayer(ctx, root, "team/app", id, d); errs.CodeOf(err) != errs.PartTooSmall {
		t.Fatalf("short parts: %v", err)
	}
	if _, err := w.FinishUpload(ctx, root, "team/app", id, d, registry.Part{Start: -1, Length: 0}); err != nil {
		t.Fatal(err) // which asks for no length
	}
	again := w.begin()
	if _, err := w.AppendLayerPart(ctx, root, "team/app", again, chunkOf(0, "one two three")); err != nil {
		t.Fatal(err)
	}
	if err := w.FinishLayer(ctx, root, "team/app", again, d); errs.CodeOf(err) != errs.BlobExists {
		t.Errorf("a layer that is there: %v", err)
	}
	if _, err := w.Upload(ctx, root, "team/app", again); errs.CodeOf(err) != errs.UploadUnknown {
		t.Errorf("its upload: %v", err)
	}
	if _, err := dir.Stat("uploads/" + again); err == nil {
		t.Error("the bytes of its upload are there")
	}
	elsewhere, err := w.StartUpload(ctx, root, "team/base", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.AppendLayerPart(ctx, root, "team/base", elsewhere.ID, chunkOf(0, "one two three")); err != nil {
		t.Fatal(err)
	}
	if err := w.FinishLayer(ctx, root, "team/base", elsewhere.ID, d); err != nil {
		t.Errorf("a layer that another repository has: %v", err)
	}
}

// TestLayerTwoWriters: of two requests with the same next part one is first, and the other
// is told where the upload goes on, or that it is being written to; no byte is there twice.
func TestLayerTwoWriters(t *testing.T) {
	w := newWorld(t, onDisk(t))
	ctx, id := t.Context(), w.begin()
	failed := make([]error, 4)
	var writers sync.WaitGroup
	for i := range failed {
		writers.Go(func() {
			_, failed[i] = w.AppendLayerPart(ctx, root, "team/app", id, chunkOf(0, "part of "+string(rune('a'+i))))
		})
	}
	writers.Wait()
	first := -1
	for i, err := range failed {
		switch code := errs.CodeOf(err); {
		case err == nil && first < 0:
			first = i
		case code != errs.UploadInvalid && code != errs.RangeInvalid:
			t.Errorf("writer %d: %v", i, err)
		}
	}
	if first < 0 {
		t.Fatalf("nobody was first: %v", failed)
	}
	want := "part of " + string(rune('a'+first))
	if err := w.FinishLayer(ctx, root, "team/app", id, digest.FromString(want)); err != nil {
		t.Error(err)
	}
}

// TestLayerPartsEnd: there may be so many parts, and no more.
func TestLayerPartsEnd(t *testing.T) {
	w := newWorld(t, onDisk(t))
	ctx, id := t.Context(), w.begin()
	if _, err := w.AppendLayerPart(ctx, root, "team/app", id, chunkOf(0, "a")); err != nil {
		t.Fatal(err)
	}
	row, err := w.db.Upload(ctx, "team/app", id)
	if err != nil {
		t.Fatal(err)
	}
	row.Parts = registry.MaxParts - 1
	if err := w.db.PutUpload(ctx, row); err != nil {
		t.Fatal(err)
	}
	if _, err := w.AppendLayerPart(ctx, root, "team/app", id, chunkOf(1, "b")); err != nil {
		t.Fatal(err)
	}
	_, err = w.AppendLayerPart(ctx, root, "team/app", id, chunkOf(2, "c"))
	if errs.CodeOf(err) != errs.LimitExceeded {
		t.Errorf("one more: %v", err)
	}
	if _, err := w.AppendLayerPart(ctx, root, "team/app", id, chunkOf(1, "b")); err != nil {
		t.Errorf("the last again: %v", err)
	}
	if _, err := w.AppendLayerPart(ctx, may(iam.InitiateLayerUpload, "*"), "team/app", id, chunkOf(2, "c")); errs.CodeOf(err) != errs.Denied {
		t.Errorf("without the right: %v", err)
	}
}

// TestUploadsEndWithRepository: an upload does not go on in another repository of the same
// name, also where a request is writing to it, and leaves no bytes.
func TestUploadsEndWithRepository(t *testing.T) {
	dir := onDisk(t)
	w := newWorld(t, dir)
	ctx := t.Context()
	again := func() {
		t.Helper()
		if _, err := w.DeleteRepository(ctx, root, "team/app", true); err != nil {
			t.Fatal(err)
		}
		if err := w.db.CreateRepository(ctx, meta.Repository{Name: "team/app"}); err != nil {
			t.Fatal(err)
		}
	}
	ended := func(what, id string, err error) {
		t.Helper()
		if errs.CodeOf(err) != errs.UploadUnknown {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := dir.Stat("uploads/" + id); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: its bytes: %v", what, err)
		}
	}
	id := w.begin()
	if _, err := w.AppendLayerPart(ctx, root, "team/app", id, chunkOf(0, "part")); err != nil {
		t.Fatal(err)
	}
	again()
	_, err := w.AppendLayerPart(ctx, root, "team/app", id, chunkOf(4, "more"))
	ended("between two parts", id, err)

	id = w.begin()
	body, send := io.Pipe()
	failed := make(chan error)
	go func() {
		_, err := w.AppendUpload(ctx, root, "team/app", id, registry.Part{Body: body, Start: -1, Length: -1})
		failed <- err
	}()
	if _, err := send.Write([]byte("part")); err != nil { // it has the upload then
		t.Fatal(err)
	}
	again()
	send.Close()
	ended("in a part", id, <-failed)
}
