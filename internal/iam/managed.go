package iam

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// documents are the policies for ECR that AWS manages, as AWS publishes them.
//
//go:embed managed/*.json
var documents embed.FS

// managedARN is what the ARN of a policy of AWS's has before its name.
const managedARN = "arn:aws:iam::aws:policy/"

// Managed returns one of ECR's managed policies by name or ARN. Its Name is the
// name without the ARN. ok is false if there is none of this name.
func Managed(name string) (p Policy, ok bool) {
	name = strings.TrimPrefix(name, managedARN)
	if !slices.Contains(ManagedNames(), name) {
		return Policy{}, false
	}
	doc, err := documents.ReadFile("managed/" + name + ".json")
	if err == nil {
		p, err = ParsePolicy(doc)
	}
	if err != nil {
		panic(fmt.Sprintf("managed policy %s: %v", name, err)) // built in, and tested
	}
	p.Name = name
	return p, true
}

// ManagedNames returns the names of ECR's managed policies in order.
func ManagedNames() []string {
	files, err := fs.Glob(documents, "managed/*.json")
	if err != nil {
		panic(err) // only a bad pattern is an error
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(strings.TrimPrefix(f, "managed/"), ".json")
	}
	return files
}
