package meta_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
)

// suite is what holds on both engines. Each test gets a database of its own.
var suite = []struct {
	name string
	test func(*testing.T, meta.Options)
}{
	{"every statement is understood", testStatements},
	{"registry", testRegistry},
	{"access keys", testKeys},
	{"rules", testRules},
	{"malformed rules", testBadRules},
	{"declared rules", testDeclaredRules},
	{"secrets", testSecrets},
	{"lists of secrets", testSecretLists},
	{"users", testUsers},
	{"access keys of users", testUserKeys},
	{"two change rules, secrets and users", testControlTogether},
	{"upgrade", testUpgrade},
	{"upgrade of what was pushed", testUpgradePushed},
	{"manifests", testManifests},
	{"many edges", testManyEdges},
	{"foreign bytes", testForeignBytes},
	{"malformed names", testMalformed},
	{"tags", testTags},
	{"history follows the writes, not the clock", testHistoryClock},
	{"history of very many moves", testHistoryTrimmed},
	{"checks", testCheckTag},
	{"blobs", testBlobs},
	{"blob sizes by manifests", testBlobSizes},
	{"links need bytes", testLinks},
	{"what names a digest", testParents},
	{"lists", testLists},
	{"referrers of upstreams", testReferrers},
	{"manifests about another", testReferring},
	{"pull times", testTouch},
	{"described repositories", testDescribeRepositories},
	{"made repositories", testRepositories},
	{"repositories that a pull makes", testNewRepositories},
	{"deleted repositories", testDeleteRepository},
	{"a deleted repository with everything", testDeleteEverything},
	{"templates", testTemplates},
	{"settings", testSettings},
	{"two change a setting", testSettingsTogether},
	{"scan on push", testScanOnPush},
	{"policies of repositories", testRepositoryPolicies},
	{"policy of the registry", testRegistryPolicy},
	{"two change policies", testPoliciesTogether},
	{"uploads", testUploads},
	{"deletion of a link", testDeleteLink},
	{"a pull and an immutable tag", testPullImmutable},
	{"mounts", testMount},
	{"pushed images", testPutImage},
	{"strict pushes", testStrictPush},
	{"two push one image", testStrictTogether},
	{"two push an index and delete its image", testChildTogether},
	{"types of blobs", testBlobType},
	{"immutable tags", testImmutable},
	{"deletions", testDelete},
	{"deletion of a whole image", testDeleteComplete},
	{"replication rules", testReplicationRules},
	{"what is queued for replication", testReplicationQueue},
	{"copies that fail", testReplicationFails},
	{"copies that a clock put off", testReplicationHurry},
	{"many copies", testReplicationMany},
	{"two claim copies", testClaimTogether},
	{"two push and copy", testPushCopyTogether},
	{"described images", testImages},
	{"sizes of images", testImageSizes},
	{"names of images", testImageIDs},
	{"few images among very many", testFewImages},
	{"totals of repositories", testTotals},
	{"totals of what is absurd", testTotalsAbsurd},
	{"upgrade of totals", testUpgradeTotals},
	{"repositories for people", testBrowseRepositories},
	{"tags for people", testBrowseTags},
	{"tags of what names very much", testVastTags},
	{"moves of tags", testMoves},
	{"parts of manifests", testMembers},
	{"what is missing", testMissing},
	{"complete", testComplete},
	{"complete in other repositories", testCompleteElsewhere},
	{"complete with many parents", testCompleteShared},
	{"two finish one image", testFinishTogether},
	{"two move one tag", testMoveTogether},
	{"two make the registry", testInitTogether},
	{"two link and drop", testLinkDropTogether},
	{"two say public", testPublicTogether},
	{"sweep of links", testSweepLinks},
	{"sweep of blobs", testSweepBlobs},
	{"blobs of deleted manifests", testFreed},
	{"blobs of manifests that were given", testServed},
	{"idle uploads", testDropUpload},
	{"two link and sweep", testLinkGoingTogether},
	{"two mount and sweep", testMountSweepTogether},
	{"two push and sweep", testPushSweepTogether},
	{"two commit and one sweeps", testCommitGoingTogether},
	{"lifecycle policies", testPolicies},
	{"facts of images", testFacts},
	{"facts of many images", testManyFacts},
	{"a lifecycle run", testApply},
	{"a lifecycle run looks again", testApplyRechecks},
	{"a lifecycle run counts again", testCountRechecks},
	{"a lifecycle run looks at what follows again", testFollowRechecks},
	{"an interrupted lifecycle run", testInterruptedRun},
	{"lifecycle events", testEventsBounded},
	{"lifecycle previews", testPreviews},
	{"a lifecycle run and others", testLifecycleTogether},
	{"archive", testArchive},
	{"two archive and push", testArchiveTogether},
	{"traffic", testTraffic},
	{"several add traffic", testTrafficTogether},
	{"what is held", testHeld},
	{"tags of images with a blob", testTagsWith},
	{"migration", testMigration},
	{"slow upgrade", testSlowUpgrade},
	{"newer schema", testNewerSchema},
	{"failed migration", testFailedMigration},
	{"two open a new database", testOpenTogether},
	{"queries are counted", testQueries},
}

func TestSQLite(t *testing.T) {
	for _, s := range suite {
		t.Run(s.name, func(t *testing.T) {
			s.test(t, meta.Options{Path: filepath.Join(t.TempDir(), "weir.db")})
		})
	}
}

func TestPostgreSQL(t *testing.T) {
	server := startPostgres(t)
	for _, s := range suite {
		t.Run(s.name, func(t *testing.T) { s.test(t, server.fresh(t)) })
	}
	t.Run("database does not order by bytes", func(t *testing.T) { testCollation(t, server.fresh(t)) })
	t.Run("processes see each other's writes", func(t *testing.T) { testProcesses(t, server.fresh(t)) })
	t.Run("manifests are remembered", func(t *testing.T) { testManifestMemory(t, server.fresh(t)) })
}

func open(t *testing.T, o meta.Options) *meta.DB {
	t.Helper()
	db, err := meta.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// epoch is when the tests happen; at is n seconds later.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

func at(n int) time.Time { return epoch.Add(time.Duration(n) * time.Second) }

// name is the digest of a thing that a test calls s.
func name(s string) digest.Digest { return digest.FromString(s) }

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, what string, want errs.Code, err error) {
	t.Helper()
	if err == nil || errs.CodeOf(err) != want {
		t.Errorf("%s: error %v has code %v, want %v", what, err, errs.CodeOf(err), want)
	}
}

// manifest is a manifest called s with edges such as "config c", "layer l",
// "child m linux/amd64" or "subject s"; "layer l" has 10 bytes.
func manifest(t *testing.T, s string, edges ...string) (*oci.Manifest, oci.Edges) {
	t.Helper()
	raw := []byte(`{"name":"` + s + `"}`)
	m := &oci.Manifest{Descriptor: oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: name(s), Size: int64(len(raw))}, Raw: raw}
	var list oci.Edges
	for _, e := range edges {
		list.List = append(list.List, edge(t, e))
	}
	list.Index = len(list.Children()) > 0
	if list.Index {
		m.MediaType = oci.MediaTypeIndex
	}
	return m, list
}

func edge(t *testing.T, s string) oci.Edge {
	t.Helper()
	var kind, thing, platform, version string
	if n, err := fmt.Sscan(s, &kind, &thing, &platform, &version); n < 2 {
		t.Fatalf("edge %q: %v", s, err)
	}
	e := oci.Edge{Kind: oci.EdgeKind(kind), Descriptor: oci.Descriptor{MediaType: "application/" + kind, Digest: name(thing), Size: 10}}
	if platform != "" {
		e.Platform = parsePlatform(platform, version)
	}
	return e
}

// parsePlatform is the inverse of oci.Platform.String.
func parsePlatform(s, version string) *oci.Platform {
	parts := append(strings.Split(s, "/"), "", "")
	return &oci.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2], OSVersion: version}
}

// putManifest puts a manifest at second n.
func putManifest(t *testing.T, db *meta.DB, repo, tag string, n int, s string, edges ...string) (moved bool) {
	t.Helper()
	m, e := manifest(t, s, edges...)
	return must(db.PutManifest(t.Context(), repo, m, e, tag, at(n)))(t)
}

// store claims a blob and puts it.
func store(ctx context.Context, db *meta.DB, d digest.Digest, size int64, public bool, repos []string, at time.Time) error {
	if err := db.Claim(ctx, d, at); err != nil {
		return err
	}
	return db.PutBlob(ctx, d, size, public, repos, at)
}

// putBlob puts a blob of 10 bytes at second n and links it to repos.
func putBlob(t *testing.T, db *meta.DB, s string, n int, repos ...string) {
	t.Helper()
	check(t, store(t.Context(), db, name(s), 10, false, repos, at(n)))
}
