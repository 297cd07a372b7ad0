package console

import "net/http"

// menu is the console's sections, in their order.
var menu = []section{
	{Path: Path, Name: "Overview"},
	{Path: repositoriesPath, Name: "Repositories"},
}

func (v *visit) overview() error {
	return v.show(http.StatusOK, "overview", &Page{Title: v.T("Overview"), Section: Path})
}
