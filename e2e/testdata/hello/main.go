// Command hello prints its arguments: what an image of the end-to-end tests runs.
package main

import (
	"fmt"
	"os"
	"strings"
)

func main() { fmt.Println(strings.Join(os.Args[1:], " ")) }
