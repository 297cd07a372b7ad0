// Command gen makes Go of an AWS API model: the structures of its operations as they
// are on the wire, the constraints of their members, and the operations with their
// errors. `go generate` runs it in the folder above.
//
// The same model gives the same bytes. What it cannot represent is an error.
package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run writes the files that the model args[0] makes into the folder args[1].
func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: gen MODEL FOLDER")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	files, err := Generate(text)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(args[1], name), files[name], 0o644); err != nil {
			return err
		}
	}
	return nil
}
