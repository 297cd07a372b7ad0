package weir

// NewScripted is New with anything that explains and checks.
var NewScripted = newFace
