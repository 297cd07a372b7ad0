package secretsmanager

// Scripted is Service with any control plane.
var Scripted = service
