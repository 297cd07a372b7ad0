// Command rows measures weir's lists and the console's pages where there is much to list:
// 10,000 repositories and 1,000,000 images, 900,000 of them in one repository.
//
// It starts a weir in a folder, ends it, adds the rows to its database in one go, and
// starts it again. Then it asks for the first, a middle and the last page of each
// list, and for each page of the console, and prints for each what it took. With -check it
// fails where a list's last page takes more than twice what a first one does, or a page of
// the console more than 20 ms of CPU.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

func main() {
	dir := flag.String("dir", "", "folder for the weir and its rows; they are kept, and used again")
	bin := flag.String("weir", os.Getenv("WEIR_BIN"), "the binary")
	reps := flag.Int("reps", 30, "how often each page is asked for")
	check := flag.Bool("check", false, "fail if a last page costs more than twice a first one, or a page of the console more than 20 ms of CPU")
	only := flag.String("only", "", "lists or pages: measure nothing else")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *dir, *bin, *only, *reps, *check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir, bin, only string, reps int, check bool) error {
	if dir == "" || bin == "" {
		return errors.New("usage: rows -dir FOLDER -weir BINARY [-only lists|pages] [-reps N] [-check]")
	}
	done := filepath.Join(dir, "filled")
	if _, err := os.Stat(done); errors.Is(err, fs.ErrNotExist) {
		begin := time.Now()
		if err := prepare(ctx, dir, bin); err != nil {
			return err
		}
		if err := os.WriteFile(done, nil, 0o600); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "filled in %v\n", time.Since(begin).Round(time.Second))
	}
	w, err := startWeir(ctx, dir, bin)
	if err != nil {
		return err
	}
	defer w.stop()
	flat := true
	if only != "pages" {
		if flat, err = w.measureLists(ctx, reps); err != nil {
			return err
		}
	}
	var over []string
	if only != "lists" {
		if over, err = w.measurePages(ctx, reps); err != nil {
			return err
		}
	}
	switch {
	case check && !flat:
		return errors.New("not flat")
	case check && len(over) > 0:
		return errors.New("pages take too much CPU")
	}
	return nil
}

// prepare has a weir make its folder, and fills it.
func prepare(ctx context.Context, dir, bin string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	w, err := startWeir(ctx, dir, bin)
	if err != nil {
		return err
	}
	if err := w.stop(); err != nil {
		return err
	}
	return fill(ctx, filepath.Join(dir, "data", "weir.db"))
}
