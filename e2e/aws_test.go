package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// awsCLI is the stock AWS CLI with the key in a credentials file.
type awsCLI struct {
	command
	endpoint string // "": AWS's own host names
}

// awsProgram is the AWS CLI on PATH, of whatever origin: people have newer ones than
// Debian's.
func awsProgram(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("aws")
	if err != nil {
		t.Fatal("aws is missing: apt-get install awscli, or scripts/install-test-deps")
	}
	return path
}

// awsEnv is the surroundings of a client of AWS's that knows nothing but this key and
// region, and asks nobody else.
func awsEnv(credentials, region string) []string {
	return []string{
		"AWS_SHARED_CREDENTIALS_FILE=" + credentials, "AWS_CONFIG_FILE=/dev/null", "AWS_DEFAULT_REGION=" + region, "AWS_REGION=" + region,
		"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_SESSION_TOKEN=", "AWS_PROFILE=default", "AWS_ENDPOINT_URL=", "AWS_CA_BUNDLE=",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1", "AWS_PAGER=", "AWS_DEFAULT_OUTPUT=json",
		"NO_PROXY=*", "no_proxy=*",
	}
}

// with is the same CLI with other surroundings on top.
func (a awsCLI) with(env ...string) awsCLI {
	a.env = append(a.env[:len(a.env):len(a.env)], env...)
	return a
}

func (a awsCLI) try(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if a.endpoint != "" {
		args = append([]string{"--endpoint-url", a.endpoint}, args...)
	}
	out, err := a.run(t, "", args...)
	// Debian's says this of every error when it may try but once.
	return strings.ReplaceAll(out, " operation (reached max retries: 0): ", " operation: "), err
}

// text runs the CLI and returns what it prints.
func (a awsCLI) text(t *testing.T, args ...string) string {
	t.Helper()
	out, err := a.try(t, args...)
	if err != nil {
		t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

// ask runs the CLI and reads what it prints into out.
func (a awsCLI) ask(t *testing.T, out any, args ...string) {
	t.Helper()
	if text := a.text(t, args...); json.Unmarshal([]byte(text), out) != nil {
		t.Fatalf("aws %s printed no such JSON:\n%s", strings.Join(args, " "), text)
	}
}

// refused runs the CLI, which must fail with exactly this error of AWS's.
func (a awsCLI) refused(t *testing.T, exception, message string, args ...string) {
	t.Helper()
	out, err := a.try(t, args...)
	want := fmt.Sprintf("An error occurred (%s) when calling the %s operation: %s", exception, operation(args), message)
	// Newer ones print "aws: [ERROR]: " before it.
	if err == nil || !strings.HasSuffix(strings.TrimSpace(out), want) {
		t.Errorf("aws %s: %v\ngot  %s\nwant %s", strings.Join(args, " "), err, strings.TrimSpace(out), want)
	}
}

// operation is what the CLI calls an operation in errors: CreateSecret for create-secret.
func operation(args []string) string {
	var b strings.Builder
	for _, word := range strings.Split(args[1], "-") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// loginPassword is what `aws ecr get-login-password` pipes into docker login.
func (a awsCLI) loginPassword(t *testing.T) string {
	t.Helper()
	return a.text(t, "ecr", "get-login-password")
}

// newAWS is the CLI with a server's root key.
func newAWS(t *testing.T, s *server) awsCLI {
	t.Helper()
	path := awsProgram(t)
	env := awsEnv(filepath.Join(s.dir, "data", "credentials"), awsRegion)
	if !knowsAll() {
		env = append(env, "AWS_DATA_PATH="+modelFolder(t))
	}
	return awsCLI{command{path, env}, "http://" + s.addr}
}

// knowsAll says whether the AWS CLI on PATH has the youngest of ECR's operations.
// Debian's has those of 2023: it is given today's API model, which is data to it.
var knowsAll = sync.OnceValue(func() bool {
	return exec.Command("aws", "ecr", "register-pull-time-update-exclusion", "--generate-cli-skeleton", "input").Run() == nil
})

// modelFolder makes a folder in which AWS's clients in Python look for models before
// they take their own.
func modelFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile("../internal/awsapi/ecr/model/ecr-2015-09-21.json")
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "ecr", "2015-09-21"), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "ecr", "2015-09-21", "service-2.json"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
