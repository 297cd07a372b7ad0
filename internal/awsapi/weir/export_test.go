package weir

// Scripted is Service with anything that explains and checks.
var Scripted = service
