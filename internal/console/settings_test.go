package console_test

import (
	"html"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/weir-registry/weir/internal/weirtest"
)

func TestSettings(t *testing.T) {
	s := weirtest.Start(t, `registry: {id: "123456789012", region: site-a, host: weir.example}`+"\nmirrors: {hub.example: docker.io}\n")
	b := signedIn(t, s, s.Key)
	b.get("/console/settings")
	b.shows(200, "123456789012", "site-a", "weir.example", "hub.example", "There is no signing configuration.", "BASIC", "Nobody is excluded.", "storage.keep_free", "10%", "timeouts.stall", "30s")
	b.post("/console/settings/account", url.Values{"name": {"BLOB_MOUNTING"}, "value": {"DISABLED"}})
	b.shows(200, "The setting was saved.", "<option selected>DISABLED</option>")
	b.post("/console/settings/account", url.Values{"name": {"BLOB_MOUNTING"}, "value": {"<script>"}})
	b.shows(400, "is one of ENABLED, DISABLED", "<option selected>DISABLED</option>")
	b.post("/console/settings/account", url.Values{"name": {"NONE"}, "value": {"x"}})
	b.shows(400, "it is one of")

	const scanner = "arn:aws:iam::123456789012:user/scanner"
	b.post("/console/settings/exclusions/add", url.Values{"add": {"x" + markup}})
	b.shows(400, "not the ARN of a role or a user", `value="x`+html.EscapeString("</textarea>"))
	b.lacks("<script>alert")
	b.post("/console/settings/exclusions/add", url.Values{"add": {" " + scanner + " "}})
	b.shows(200, "change no pull times from now on", scanner, "Remove")
	b.post("/console/settings/exclusions/add", url.Values{"add": {scanner}})
	b.shows(409, "already exists", `value="`+scanner+`"`)
	b.post("/console/settings/exclusions/remove", url.Values{"principal": {scanner}})
	b.shows(200, "change pull times again", "Nobody is excluded.")
	b.post("/console/settings/exclusions/remove", url.Values{"principal": {scanner}})
	b.shows(404, "does not exist")

	api(t, s, ecr+"PutRegistryScanningConfiguration", map[string]any{"scanType": "ENHANCED", "rules": []map[string]any{{"scanFrequency": "CONTINUOUS_SCAN",
		"repositoryFilters": []map[string]string{{"filter": "prod*", "filterType": "WILDCARD"}}}}}, nil)
	api(t, s, ecr+"PutSigningConfiguration", map[string]any{"signingConfiguration": map[string]any{"rules": []map[string]any{{"signingProfileArn": "arn:aws:signer:us-east-1:123456789012:/signing-profiles/mine"}}}}, nil)
	b.get("/console/settings")
	b.shows(200, "ENHANCED", "CONTINUOUS_SCAN", "prod*", "signing-profiles/mine", "all repositories")
}

func TestSettingsWithoutRights(t *testing.T) {
	s := weirtest.Start(t, "mirrors: {hub.example: docker.io}\n")
	mallory := signedIn(t, s, newUser(t, s, "mallory", ""))
	mallory.get("/console/settings")
	mallory.shows(200, "Registry ID", "Version of weir")
	mallory.lacks("hub.example", "storage.keep_free", "BLOB_MOUNTING", "Scan type", "Signing", "excluded", "action=\"/console/settings")
	looker := signedIn(t, s, newUser(t, s, "looker", document(`"ecr:GetAccountSetting","ecr:ListPullTimeUpdateExclusions","weir:GetSettings"`)))
	looker.get("/console/settings")
	looker.shows(200, "BLOB_MOUNTING", "Nobody is excluded.", "storage.keep_free")
	looker.lacks("hub.example", "action=\"/console/settings", "<select name=\"value\"")
	for _, b := range []*browser{mallory, looker} {
		for path, form := range map[string]url.Values{
			"/console/settings/account":           {"name": {"BLOB_MOUNTING"}, "value": {"DISABLED"}},
			"/console/settings/exclusions/add":    {"add": {"arn:aws:iam::123456789012:user/x"}},
			"/console/settings/exclusions/remove": {"principal": {"arn:aws:iam::123456789012:user/x"}},
		} {
			b.get("/console/users/new")
			b.post(path, form)
			b.shows(403, "is not authorized to perform")
		}
	}
	b := signedIn(t, s, s.Key)
	b.get("/console/settings")
	b.shows(200, "<option selected>ENABLED</option>", "Nobody is excluded.")
}

// TestInForce: the configuration is told key by key, and no secret with it.
func TestInForce(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte("hunter2-hunter2-hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := weirtest.Start(t, `
trusted_proxies: [10.0.0.0/8, "::1/128"]
anonymous: [{cidr: [192.0.2.0/24], repositories: [team/*]}]
rules: [{prefix: hub, upstream: registry.example, credential: robot}]
credentials: {robot: {username: robotuser, password_file: `+secret+`}}
upstreams: {registry.example: {endpoints: ["https://mirror.example/base"], proxy: "http://proxy.example:3128", realms: ["https://auth.example/token"], allow_hosts: ["cdn.example:8443"]}}
replication: {destinations: [{region: site-b, registry_id: "222222222222", url: "https://b.example/reg", credential: robot, prefix: from-a}], give_up_after: 2d}
storage: {keep_free: 20GiB}
retain: {untagged_cached: never, grace: 2h}
events: {log: "-", webhooks: [{url: "https://hooks.example/T0/B0/topsecret?token=topsecret", secret_file: `+secret+`, types: [ECR Image Action]}]}
`)
	b := signedIn(t, s, s.Key)
	b.get("/console/settings")
	for key, value := range map[string]string{
		"listen": "127.0.0.1:0", "held_only": "false", "tls": "off", "trusted_proxies": "10.0.0.0/8, ::1/128", "anonymous[0].cidr": "192.0.2.0/24", "anonymous[0].repositories": "team/*",
		"ecr.strict": "false", "credentials": "robot", "upstreams.registry.example.endpoints": "https://mirror.example/base", "upstreams.registry.example.proxy": "http://proxy.example:3128",
		"upstreams.registry.example.realms": "https://auth.example/token", "upstreams.registry.example.allow_hosts": "cdn.example:8443",
		"replication.destinations[0].url": "https://b.example/reg", "replication.destinations[0].credential": "robot", "replication.give_up_after": "48h0m0s",
		"storage.keep_free": "20GiB", "retain.untagged_cached": "never", "retain.grace": "2h0m0s", "events.log": "-", "events.webhooks[0].url": "https://hooks.example",
		"events.webhooks[0].types": "ECR Image Action", "log.level": "debug",
	} {
		b.shows(200, "<code>"+html.EscapeString(key)+"</code></th><td class=\"name\"><code>"+html.EscapeString(value)+"</code></td>")
	}
	b.shows(200, `<code>registry.host</code></th><td class="name"><span class="none">not set</span></td>`)
	b.lacks("hunter2", "topsecret", "robotuser")
}
