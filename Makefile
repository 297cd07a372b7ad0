# Each target is its one line. What ships and what the scripts and the end-to-end
# tests run is the same static binary; unit tests run with -race, which needs cgo. Of
# SQLite, which is translated C, it does not check every pointer: that took as long as
# all of our own code.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
UNIT        = $(shell go list ./... | grep -v -e '/e2e$$' -e '/cmd/weir$$')
export WEIR_BIN = $(CURDIR)/bin/weir

.PHONY: run build deps lint test test-short test-all conformance demo bench screenshots

run: build; $(WEIR_BIN) serve
build:; CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/weir
deps:; scripts/install-test-deps && for t in crane docker-credential-ecr-login crictl; do scripts/tool $$t >/dev/null || exit; done
lint:; go vet ./... && go run $(STATICCHECK) ./...
test-short: build; go test -short $(UNIT) ./cmd/weir
test: deps build lint; go test -race -gcflags='modernc.org/...=-d=checkptr=0' -timeout 20m $(UNIT) && go test -count=1 -timeout 30m ./cmd/weir ./e2e && cd conformance && go test -count=1 .
test-all: test demo; WEIR_MODEL_CHECKS=100 go test -count=1 -run TestModel ./internal/weirtest && scripts/tool --all && scripts/fuzz 5s && WEIR_E2E_CLIENTS=built WEIR_E2E_REGISTRY=$$(scripts/tool registry) WEIR_KILL_ROUNDS=100 go test -count=1 -timeout 40m ./e2e
conformance: build; cd conformance && go test -count=1 -v .
demo: build; go run ./demo $(WEIR_BIN)
bench: build; bench/run
screenshots: build; mkdir -p docs/console && WEIR_SCREENSHOTS=$(CURDIR)/docs/console go test -count=1 -run 'TestConsole(Pages|Story|SignIn)$$/pictures' ./e2e
