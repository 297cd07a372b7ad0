package console

import (
	"cmp"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/registry"
)

// changeRepository does what a form of a repository's or an image's page says.
func (v *visit) changeRepository() error {
	name, d, image := strings.Cut(v.r.PathValue("name"), "@")
	at := repositoryPath(name)
	v.at(name)
	switch v.formValue("do") {
	case "check":
		return v.checkTag(name)
	case "delete":
		v.does(deleteRepository, "")
		_, err := v.console.Registry.DeleteRepository(v.ctx(), v.caller(), name, v.formValue("force") != "")
		if err != nil {
			return v.repository(name, "delete", err, "")
		}
		return v.done(repositoriesPath, "The repository is deleted.")
	case "delete-image":
		return v.deleteImage(name, digest.Digest(d))
	case "archive", "restore":
		return v.archiveImage(name, digest.Digest(d), v.formValue("do") == "archive")
	case "put-lifecycle":
		v.does(putLifecycle, "")
		text := v.formText("policy")
		own, err := v.console.Registry.LifecyclePolicy(v.ctx(), v.caller(), name)
		if err = v.unchanged(own.Text, err); err == nil {
			_, err = v.console.Registry.PutLifecyclePolicy(v.ctx(), v.caller(), name, text)
		}
		if err != nil {
			return v.repository(name, "lifecycle", err, text)
		}
		return v.done(at+"?tab=lifecycle", "The policy is kept. The next run does what it says.")
	case "preview":
		v.does(startPreview, "")
		text := v.formText("policy")
		if _, err := v.console.Registry.StartPreview(v.ctx(), v.caller(), name, text); err != nil {
			return v.repository(name, "lifecycle", err, text)
		}
		return v.redirect(at + "?tab=lifecycle&preview=1")
	case "delete-lifecycle":
		v.does(deleteLifecycle, "")
		if _, err := v.console.Registry.DeleteLifecyclePolicy(v.ctx(), v.caller(), name); err != nil {
			return v.repository(name, "lifecycle", err, "")
		}
		return v.done(at+"?tab=lifecycle", "The policy is deleted.")
	case "put-policy":
		v.does(iam.SetRepositoryPolicy, "")
		text := v.formText("policy")
		own, err := v.console.Registry.RepositoryPolicy(v.ctx(), v.caller(), name)
		if err = v.unchanged(own.Text, err); err == nil {
			_, err = v.console.Registry.SetRepositoryPolicy(v.ctx(), v.caller(), name, text, v.formValue("force") != "")
		}
		if err != nil {
			return v.repository(name, "permissions", err, text)
		}
		return v.done(at+"?tab=permissions", "The policy holds from now on.")
	case "delete-policy":
		v.does(iam.DeleteRepositoryPolicy, "")
		if _, err := v.console.Registry.DeleteRepositoryPolicy(v.ctx(), v.caller(), name); err != nil {
			return v.repository(name, "permissions", err, "")
		}
		return v.done(at+"?tab=permissions", "The policy is deleted.")
	}
	if image {
		at += "@" + d
	}
	return v.redirect(at)
}

// checkTag asks the upstream what a tag is.
func (v *visit) checkTag(name string) error {
	v.does(iam.BatchImportUpstreamImage, v.formValue("tag"))
	result, err := v.console.Registry.Check(v.ctx(), v.caller(), name, v.formValue("tag"))
	if err != nil {
		return v.repository(name, "images", err, "")
	}
	said := "The upstream was asked: the tag is what it was."
	switch {
	case result.Blocked:
		said = "The upstream was asked: the tag is another there, and does not change here."
	case result.Moved:
		said = "The upstream was asked: the tag has moved."
	}
	return v.done(address(repositoryPath(name), "tab", "images", "q", v.formValue("q"), "after", v.formValue("after")), said)
}

// deleteImage deletes a tag, or an image with all that it has.
func (v *visit) deleteImage(name string, d digest.Digest) error {
	id := registry.ImageID{Digest: d, Tag: v.formValue("tag")}
	v.does(iam.BatchDeleteImage, cmp.Or(id.Tag, string(d)))
	gone, failures, err := v.console.Registry.DeleteImages(v.ctx(), v.caller(), name, []registry.ImageID{id})
	if err == nil && len(failures) > 0 {
		err = failures[0].Err
	}
	if err != nil {
		return v.showImage(name, d, err)
	}
	if id.Tag != "" && len(gone) == 1 {
		return v.done(repositoryPath(name), "The tag is deleted.")
	}
	return v.done(repositoryPath(name), "The image is deleted.")
}

// archiveImage brings an image into the archive, or out of it.
func (v *visit) archiveImage(name string, d digest.Digest, archived bool) error {
	v.does(updateStorageClass, string(d))
	if d == "" {
		return errs.New(errs.ParamInvalid, "the form names no image")
	}
	if _, err := v.console.Registry.SetArchived(v.ctx(), v.caller(), name, registry.ImageID{Digest: d}, archived); err != nil {
		return v.showImage(name, d, err)
	}
	said := "The image is out of the archive."
	if archived {
		said = "The image is in the archive, and cannot be pulled."
	}
	return v.done(repositoryPath(name)+"@"+string(d), said)
}
