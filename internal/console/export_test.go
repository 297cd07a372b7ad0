package console

import "io"

// MaxPage is how many bytes a page may have.
const MaxPage = maxPage

// NewBounded returns what a page is written to.
func NewBounded() io.Writer { return &bounded{} }
