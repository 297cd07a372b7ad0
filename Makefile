# What each target does is in its one line. CGO_ENABLED=0 is the shipped binary.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
UNIT        = $(shell go list ./... | grep -v -e /e2e -e /cmd/weir)

.PHONY: run build test test-short test-all demo bench lint deps

run: build; bin/weir serve
build:; CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/weir
deps:; scripts/install-test-deps
lint:; go vet ./... && go run $(STATICCHECK) ./...
test-short: build; go test -short $(UNIT) ./cmd/weir
test: deps build lint; go test -race $(UNIT) && go test -count=1 ./cmd/weir ./e2e/...
test-all: test demo; WEIR_TEST_ALL=1 go test -count=1 -timeout 40m ./e2e/...
demo: build; go run ./demo bin/weir
bench:; bench/run
