package ecr

import "maps"

// NewScripted is Service with anything that answers.
var NewScripted = newService

// Built returns the names of the operations that do something.
func Built() map[string]bool {
	built := map[string]bool{}
	for name := range maps.Keys((&service{}).built()) {
		built[name] = true
	}
	return built
}
