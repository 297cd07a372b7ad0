package weir

// Scripted is Service with anything that does what it asks of others.
var Scripted = service
