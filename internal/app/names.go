package app

import (
	"slices"

	"github.com/weir-registry/weir/internal/rule"
)

// names is ociapi.Names of the rules that hold now.
func (w *Weir) names(host, ns, repo string) (string, error) {
	return w.mirrors().Repository(w.admin.RuleSet(), host, ns, repo)
}

// mirrors are the names under which clients take this registry for a mirror; its own
// are not among them: that of the configuration, and ECR's form.
func (w *Weir) mirrors() rule.Mirrors {
	own := []string{w.config.Registry.Host, w.Registry.ID + ".dkr.ecr." + w.Registry.Region + ".amazonaws.com"}
	return rule.Mirrors{Own: slices.DeleteFunc(own, func(s string) bool { return s == "" }), Hosts: w.config.Mirrors}
}
