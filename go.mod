module github.com/weir-registry/weir

go 1.26

require github.com/opencontainers/go-digest v1.0.0
