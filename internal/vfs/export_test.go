package vfs

// CheckType lets tests stand on file systems that they cannot mount.
var CheckType = checkType
