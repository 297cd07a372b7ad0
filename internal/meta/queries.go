package meta

import (
	"fmt"
	"strings"
)

// query is one statement. Its text is the same on both engines; the rules that make
// that work: parameters of one type each, columns of foreign content are bytes, no
// LIKE, no engine's own functions, upserts by ON CONFLICT.
type query int

const (
	getRegistry query = iota
	initRegistry
	putKey
	getKey
	listKeys
	listKeysOf
	deleteKey

	listRules
	putRule
	deleteRule

	listTemplates
	putTemplate
	deleteTemplate

	listSettings
	putSetting
	deleteSetting

	getSecret
	listSecrets
	putSecret
	deleteSecret
	touchSecret
	listVersions
	listVersionsOf
	putVersion
	deleteVersion
	hasExpiredSecret
	deleteExpiredVersions
	deleteExpiredSecrets

	getUser
	listUsers
	putUser
	deleteUser
	listPolicies
	putPolicy
	deletePolicy

	hasRepository
	listRepositories
	countCached

	putManifest
	getManifest
	hasManifest
	putEdge
	putEdges // edgeBatch of them
	listParents
	listIndexes
	listKinds
	listMembers
	listReadyParents

	getTag
	putTag
	checkTag
	setComplete
	listTags
	listPendingTags
	putMove
	listMoves

	getReferrers
	putReferrers
	checkReferrers
	listReferring
	deleteReferrers
	deleteReferrersOf // a repository

	getBlob
	putBlob
	putLink
	dropBlob

	touchTag
	touchManifest
	touchBlob
	renewLink

	claimBlob
	listLinks
	sweepLink
	listUnlinked
	takeBlob
	deleteBlob
	dropUpload
	getPulled
	touchNamed

	createRepository
	putMutability
	putScanOnPush
	putResourceTags
	hasImages
	deleteHistoryOf // a repository
	deleteTagsOf
	deleteEdgesOf
	deleteManifestsOf
	deleteLinksOf
	deleteRepository
	describeRepositories
	describeRepository
	putRepositoryPolicy
	getRegistryPolicy
	putRegistryPolicy
	deleteRegistryPolicy
	listImages
	getDigestAfter
	countManifests
	getImage
	listImageTags
	listImageEdges
	listImageSizes
	listImageIDs

	putUpload
	getUpload
	deleteUpload
	saveUpload
	listUploadsOf
	deleteUploadsOf
	listUploads
	listIdleUploads
	isServable
	getBlobType
	listLinkedIn
	listTagsOf
	listCompleteTags
	clearComplete
	deleteTag
	deleteManifest
	deleteEdges
	deleteLink

	getReplication
	putReplication
	queueReplication
	listQueues
	listDue
	getNextDue
	claimQueued
	renewQueued
	endQueued
	postponeQueued
	releaseQueued
	freeQueued
	getLastDue
	hurryQueued
	listOverdue
	listQueuedOf
	putReplicated
	listReplicated
	deleteQueueOf // a repository
	deleteQueued
	deleteQueuedName
	deleteQueuedImage
	deleteQueueTo
	deleteReplicatedOf // a repository
	deleteReplicatedImage

	getStorage
	putStorage
	deleteStorage
	deleteStorageOf // a repository
	putNeeded
	deleteNeeded
	deleteNeededOf // a repository
	putReleased
	deleteReleased
	deleteReleasedOf // a repository
	putReleasedMoves
	trimMoves
	noteArchives
	notePushed
	listImageStorage
	listHeldChildren
	listActiveIndexes
	isInArchive
	getPolicy
	putPolicyOf // a repository
	deletePolicyOf
	notePolicyRun
	listLifecycles
	listFacts
	getFacts
	listFactEdges
	getChanges
	noteChange
	listLeft
	getLastEvent
	putEvent
	trimEvents
	listEvents
	deleteEventsOf
	getPreview
	putPreview
	deletePreview
	listOldPreviews
	putResult
	listResults
	getResult
	deleteResultsOf

	addTraffic
	listTraffic
	dropTraffic
	sumHeld
	countManifest
	touchRepository
	browseRepositories
	getTotals
	getTagAfter
	browseTags
	listPageMembers
	listPageChildren
	listRepositoryMoves
	listTagMoves
	listSomeIndexes
	listSomeMembers
	listNaming
	listSomeTagsOf
	queries
)

func (q query) text() string {
	for _, more := range []map[query]string{lifecycleTexts, replicationTexts, trafficTexts, browseTexts} {
		if text := more[q]; text != "" {
			return text
		}
	}
	return texts[q]
}

// edgeBatch is how many edges one statement writes: a round trip each would be felt
// where an index has thousands.
const edgeBatch = 32

func insertEdges(n int) string {
	var b strings.Builder
	b.WriteString("INSERT INTO edges (repository, parent, seq, kind, digest, media_type, size, platform) VALUES ")
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "($1, $2, $%d, $%d, $%d, $%d, $%d, $%d)", 6*i+3, 6*i+4, 6*i+5, 6*i+6, 6*i+7, 6*i+8)
	}
	return b.String()
}

// servable is true where the row e of edges names a blob that its repository may
// serve now.
const servable = `EXISTS (
		SELECT 1 FROM links l JOIN blobs b ON b.digest = l.digest
		WHERE l.repository = e.repository AND l.digest = e.digest AND b.state = 'held')`

// loose is true where a row of links, or what stands for it, is needed by nothing: no
// manifest names the blob, no push has counted on it since $3, and no image that has
// it was pulled since $4.
const loose = `links.linked_at <= $3 AND NOT EXISTS (
		SELECT 1 FROM edges e WHERE e.repository = links.repository AND e.digest = links.digest
			AND e.kind IN ('config', 'layer'))
	AND NOT EXISTS (SELECT 1 FROM blobs b WHERE b.digest = links.digest AND b.pulled_at > $4)`

// unlinked is true where a row of blobs is to go: the sweep has it, or nothing links
// it, and it was neither put nor claimed since $2 nor pulled since $3.
const unlinked = `(blobs.stored_at = 0 OR blobs.stored_at <= $2 AND blobs.pulled_at <= $3 AND NOT EXISTS (
		SELECT 1 FROM links l WHERE l.digest = blobs.digest))`

// ofTagStatus is true where the row m of manifests has the tag status $3 (see Tagged).
const ofTagStatus = `(CAST($3 AS TEXT) = 'any' OR (CAST($3 AS TEXT) = 'tagged') = EXISTS (
		SELECT 1 FROM tags t WHERE t.repository = m.repository AND t.digest = m.digest))`

// ofStatus is true where the row m of manifests has the status $6 (see Status).
const ofStatus = `(CAST($6 AS TEXT) = 'any' OR (CAST($6 AS TEXT) = 'archived') = EXISTS (
		SELECT 1 FROM storage s WHERE s.repository = m.repository AND s.digest = m.digest AND s.archived))`

// countedSize is the size of one blob of a group of edges, for a sum: a manifest of
// the longest kind names no more than 1<<16 blobs, and what it says of their sizes
// may be anything.
const countedSize = `CASE WHEN MAX(%[1]s.size) > 70368744177664 THEN 70368744177664 ELSE MAX(%[1]s.size) END AS size`

var texts = [queries]string{
	getRegistry: `SELECT id, region, created_at FROM registry`,
	initRegistry: `INSERT INTO registry (one, id, region, created_at) VALUES (1, $1, $2, $3)
		ON CONFLICT (one) DO NOTHING`,

	putKey: `INSERT INTO access_keys (id, principal, root, active, sealed, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (id) DO UPDATE SET principal = excluded.principal, root = excluded.root,
			active = excluded.active, sealed = excluded.sealed,
			created_at = excluded.created_at, expires_at = excluded.expires_at`,
	getKey: `SELECT id, principal, root, active, sealed, created_at, expires_at
		FROM access_keys WHERE id = $1`,
	listKeys: `SELECT id, principal, root, active, sealed, created_at, expires_at
		FROM access_keys ORDER BY id`,
	listKeysOf: `SELECT id, principal, root, active, sealed, created_at, expires_at
		FROM access_keys WHERE principal = $1 ORDER BY id`,
	deleteKey: `DELETE FROM access_keys WHERE id = $1`,

	listRules: `SELECT prefix, kind, upstream, upstream_prefix, credential, custom_role, window_ns, fixed,
			held_only, prefetch, verify_ranges, push, declared, created_at, updated_at
		FROM rules ORDER BY prefix`,
	putRule: `INSERT INTO rules (prefix, kind, upstream, upstream_prefix, credential, custom_role, window_ns, fixed,
			held_only, prefetch, verify_ranges, push, declared, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		ON CONFLICT (prefix) DO UPDATE SET kind = excluded.kind, upstream = excluded.upstream,
			upstream_prefix = excluded.upstream_prefix, credential = excluded.credential,
			custom_role = excluded.custom_role, window_ns = excluded.window_ns, fixed = excluded.fixed,
			held_only = excluded.held_only, prefetch = excluded.prefetch,
			verify_ranges = excluded.verify_ranges, push = excluded.push, declared = excluded.declared,
			created_at = excluded.created_at, updated_at = excluded.updated_at`,
	deleteRule: `DELETE FROM rules WHERE prefix = $1`,

	listTemplates: `SELECT prefix, applied_for, description, mutability, exclusions, resource_tags, custom_role,
			repository_policy, lifecycle_policy, declared, created_at, updated_at
		FROM templates ORDER BY prefix`,
	putTemplate: `INSERT INTO templates (prefix, applied_for, description, mutability, exclusions, resource_tags,
			custom_role, repository_policy, lifecycle_policy, declared, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $12, $9, $10, $11)
		ON CONFLICT (prefix) DO UPDATE SET applied_for = excluded.applied_for,
			description = excluded.description, mutability = excluded.mutability,
			exclusions = excluded.exclusions, resource_tags = excluded.resource_tags,
			custom_role = excluded.custom_role, repository_policy = excluded.repository_policy,
			lifecycle_policy = excluded.lifecycle_policy,
			declared = excluded.declared,
			created_at = excluded.created_at, updated_at = excluded.updated_at`,
	deleteTemplate: `DELETE FROM templates WHERE prefix = $1`,

	listSettings: `SELECT name, value, created_at FROM settings
		WHERE kind = $1 AND name > $2 ORDER BY name LIMIT $3`,
	putSetting: `INSERT INTO settings (kind, name, value, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value, created_at = excluded.created_at`,
	deleteSetting: `DELETE FROM settings WHERE kind = $1 AND name = $2`,

	getSecret: `SELECT name, suffix, description, tags, created_at, changed_at, accessed_at, deleted_at, delete_at
		FROM secrets WHERE name = $1`,
	listSecrets: `SELECT name, suffix, description, tags, created_at, changed_at, accessed_at, deleted_at, delete_at
		FROM secrets WHERE name > $1 AND (deleted_at = 0 OR $3) ORDER BY name LIMIT $2`,
	putSecret: `INSERT INTO secrets (name, suffix, description, tags, created_at, changed_at, accessed_at,
			deleted_at, delete_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (name) DO UPDATE SET suffix = excluded.suffix, description = excluded.description,
			tags = excluded.tags, created_at = excluded.created_at, changed_at = excluded.changed_at,
			accessed_at = excluded.accessed_at, deleted_at = excluded.deleted_at, delete_at = excluded.delete_at`,
	deleteSecret: `DELETE FROM secrets WHERE name = $1`,
	touchSecret:  `UPDATE secrets SET accessed_at = $2 WHERE name = $1 AND accessed_at < $2`,
	listVersions: `SELECT id, n, stages, is_binary, created_at, sealed FROM secret_versions
		WHERE name = $1 ORDER BY n`,
	listVersionsOf: `SELECT id, n, stages, is_binary, created_at, name FROM secret_versions
		WHERE name >= $1 AND name <= $2 ORDER BY name, n`,
	putVersion: `INSERT INTO secret_versions (name, id, n, stages, is_binary, sealed, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (name, id) DO UPDATE SET stages = excluded.stages`,
	deleteVersion:    `DELETE FROM secret_versions WHERE name = $1 AND id = $2`,
	hasExpiredSecret: `SELECT EXISTS (SELECT 1 FROM secrets WHERE delete_at > 0 AND delete_at <= $1)`,
	deleteExpiredVersions: `DELETE FROM secret_versions WHERE name IN (
			SELECT name FROM secrets WHERE delete_at > 0 AND delete_at <= $1)`,
	deleteExpiredSecrets: `DELETE FROM secrets WHERE delete_at > 0 AND delete_at <= $1`,

	getUser:   `SELECT name, created_at FROM users WHERE name = $1`,
	listUsers: `SELECT name, created_at FROM users WHERE name > $1 ORDER BY name LIMIT $2`,
	putUser: `INSERT INTO users (name, created_at) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET created_at = excluded.created_at`,
	deleteUser:   `DELETE FROM users WHERE name = $1`,
	listPolicies: `SELECT name, document FROM user_policies WHERE user_name = $1 ORDER BY name`,
	putPolicy: `INSERT INTO user_policies (user_name, name, document) VALUES ($1, $2, $3)
		ON CONFLICT (user_name, name) DO UPDATE SET document = excluded.document`,
	deletePolicy: `DELETE FROM user_policies WHERE user_name = $1 AND name = $2`,

	hasRepository:    `SELECT EXISTS (SELECT 1 FROM repositories WHERE name = $1)`,
	listRepositories: `SELECT name FROM repositories WHERE name > $1 ORDER BY name LIMIT $2`,
	countCached:      `SELECT COUNT(*) FROM repositories WHERE name > $1 AND name < $2 AND kind = 'cached'`,

	putManifest: `INSERT INTO manifests (repository, digest, media_type, stored_at, pulled_at, raw)
		VALUES ($1, $2, $3, $4, $4, $5)
		ON CONFLICT (repository, digest) DO NOTHING`,
	getManifest: `SELECT media_type, raw FROM manifests WHERE repository = $1 AND digest = $2`,
	hasManifest: `SELECT EXISTS (SELECT 1 FROM manifests WHERE repository = $1 AND digest = $2)`,
	putEdge:     insertEdges(1),
	putEdges:    insertEdges(edgeBatch),
	listParents: `SELECT DISTINCT parent FROM edges
		WHERE repository = $1 AND digest = $2 AND kind IN ('child', 'config', 'layer')
		ORDER BY parent`,
	listIndexes: `SELECT DISTINCT parent FROM edges
		WHERE repository = $1 AND digest = $2 AND kind = 'child' ORDER BY parent`,
	listKinds: `SELECT DISTINCT kind FROM edges WHERE repository = $1 AND digest = $2 ORDER BY kind`,
	listMembers: `SELECT kind, digest, media_type, size, platform, ` + servable + `, EXISTS (
			SELECT 1 FROM manifests m WHERE m.repository = e.repository AND m.digest = e.digest)
		FROM edges e WHERE repository = $1 AND parent = $2 AND kind IN ('child', 'config', 'layer')
		ORDER BY seq`,
	listReadyParents: `SELECT DISTINCT parent FROM edges p
		WHERE repository = $1 AND digest = $2 AND kind IN ('config', 'layer') AND NOT EXISTS (
			SELECT 1 FROM edges e WHERE e.repository = p.repository AND e.parent = p.parent
				AND e.kind IN ('config', 'layer') AND NOT ` + servable + `)
		ORDER BY parent`,

	getTag: `SELECT digest, complete, checked_at, pulled_at, orphaned
		FROM tags WHERE repository = $1 AND tag = $2`,
	putTag: `INSERT INTO tags (repository, tag, digest, complete, checked_at, pulled_at, orphaned)
		VALUES ($1, $2, $3, '', $4, 0, FALSE)
		ON CONFLICT (repository, tag) DO UPDATE
			SET digest = excluded.digest, checked_at = excluded.checked_at, orphaned = FALSE`,
	checkTag: `UPDATE tags SET checked_at = $3, orphaned = $4 WHERE repository = $1 AND tag = $2`,
	setComplete: `UPDATE tags SET complete = digest
		WHERE repository = $1 AND tag = $2`,
	listTags: `SELECT tag FROM tags WHERE repository = $1 AND tag > $2 ORDER BY tag LIMIT $3`,
	listPendingTags: `SELECT tag, complete FROM tags
		WHERE repository = $1 AND digest = $2 AND complete <> digest ORDER BY tag`,
	putMove: `INSERT INTO tag_history (repository, tag, n, from_digest, to_digest, moved_at)
		VALUES ($1, $2,
			(SELECT COALESCE(MAX(n), 0) + 1 FROM tag_history WHERE repository = $1 AND tag = $2),
			$3, $4, $5)
		RETURNING n`,
	listMoves: `SELECT from_digest, to_digest, moved_at FROM tag_history
		WHERE repository = $1 AND tag = $2 ORDER BY n DESC LIMIT $3`,

	listReferring: `SELECT DISTINCT parent FROM edges
		WHERE repository = $1 AND digest = $2 AND kind = 'subject' AND parent > $3 ORDER BY parent LIMIT $4`,

	// Size by the manifests counts only where they agree: one of them may lie.
	getBlob: `SELECT EXISTS (SELECT 1 FROM links WHERE repository = $1 AND digest = $2),
		EXISTS (SELECT 1 FROM blobs WHERE digest = $2 AND state = 'held'),
		COALESCE((SELECT public FROM blobs WHERE digest = $2), FALSE),
		COALESCE(
			(SELECT size FROM blobs WHERE digest = $2 AND state = 'held'),
			(SELECT CASE WHEN MIN(size) = MAX(size) THEN MIN(size) END FROM edges
				WHERE repository = $1 AND digest = $2 AND kind IN ('config', 'layer')),
			-1)`,
	// stored_at is the claim's. What the sweep has it keeps.
	putBlob: `UPDATE blobs SET size = $2, state = 'held', public = public OR $3,
			pulled_at = CASE WHEN pulled_at > $4 THEN pulled_at ELSE $4 END,
			verified_at = CASE WHEN state = 'held' THEN verified_at ELSE $4 END
		WHERE digest = $1 AND stored_at > 0`,
	putLink: `INSERT INTO links (repository, digest, linked_at)
		SELECT CAST($1 AS TEXT), digest, CAST($3 AS BIGINT) FROM blobs WHERE digest = $2 AND state = 'held'
		ON CONFLICT (repository, digest) DO UPDATE SET linked_at = CASE
			WHEN links.linked_at > excluded.linked_at THEN links.linked_at ELSE excluded.linked_at END`,
	dropBlob: `UPDATE blobs SET state = 'going' WHERE digest = $1 AND state = 'held'`,

	touchTag: `UPDATE tags SET pulled_at = $3
		WHERE repository = $1 AND tag = $2 AND pulled_at < $3`,
	touchManifest: `UPDATE manifests SET pulled_at = $3
		WHERE repository = $1 AND digest = $2 AND pulled_at < $3`,
	touchBlob: `UPDATE blobs SET pulled_at = $2 WHERE digest = $1 AND pulled_at < $2`,
	renewLink: `UPDATE links SET linked_at = $3
		WHERE repository = $1 AND digest = $2 AND linked_at < $3`,

	claimBlob: `INSERT INTO blobs (digest, size, state, public, stored_at, pulled_at, verified_at)
		VALUES ($1, 0, 'going', FALSE, $2, $2, 0)
		ON CONFLICT (digest) DO UPDATE SET
			stored_at = CASE WHEN blobs.stored_at > excluded.stored_at THEN blobs.stored_at ELSE excluded.stored_at END
		WHERE blobs.stored_at > 0`,
	listLinks: `SELECT repository, digest, ` + loose + `
		FROM links WHERE (repository, digest) > ($1, $2) ORDER BY repository, digest LIMIT $5`,
	sweepLink: `DELETE FROM links WHERE repository = $1 AND digest = $2 AND ` + loose,
	listUnlinked: `SELECT digest, ` + unlinked + `
		FROM blobs WHERE digest > $1 ORDER BY digest LIMIT $4`,
	takeBlob:   `UPDATE blobs SET state = 'going', stored_at = 0 WHERE digest = $1 AND ` + unlinked,
	deleteBlob: `DELETE FROM blobs WHERE digest = $1 AND stored_at = 0`,
	dropUpload: `DELETE FROM uploads WHERE id = $1 AND updated_at < $2`,
	getPulled:  `SELECT pulled_at FROM manifests WHERE repository = $1 AND digest = $2`,
	touchNamed: `UPDATE blobs SET pulled_at = $3 WHERE pulled_at < $3 AND digest IN (
			SELECT e.digest FROM edges e WHERE e.repository = $1 AND e.parent = $2 AND e.kind IN ('config', 'layer'))`,

	createRepository: `INSERT INTO repositories (name, created_at, kind, mutability, exclusions, resource_tags, scan_on_push, policy)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO NOTHING`,
	putMutability:     `UPDATE repositories SET mutability = $2, exclusions = $3 WHERE name = $1`,
	putScanOnPush:     `UPDATE repositories SET scan_on_push = $2 WHERE name = $1`,
	putResourceTags:   `UPDATE repositories SET resource_tags = $2 WHERE name = $1`,
	hasImages:         `SELECT EXISTS (SELECT 1 FROM manifests WHERE repository = $1)`,
	deleteHistoryOf:   `DELETE FROM tag_history WHERE repository = $1`,
	deleteTagsOf:      `DELETE FROM tags WHERE repository = $1`,
	deleteEdgesOf:     `DELETE FROM edges WHERE repository = $1`,
	deleteManifestsOf: `DELETE FROM manifests WHERE repository = $1`,
	deleteLinksOf:     `DELETE FROM links WHERE repository = $1`,
	deleteRepository:  `DELETE FROM repositories WHERE name = $1`,
	describeRepositories: `SELECT name, created_at, kind, mutability, exclusions, resource_tags, scan_on_push, policy, archives, pushed
		FROM repositories WHERE name > $1 ORDER BY name LIMIT $2`,
	describeRepository: `SELECT name, created_at, kind, mutability, exclusions, resource_tags, scan_on_push, policy, archives, pushed
		FROM repositories WHERE name = $1`,
	putRepositoryPolicy: `UPDATE repositories SET policy = $2 WHERE name = $1`,
	getRegistryPolicy:   `SELECT document FROM registry_policy WHERE one = 1`,
	putRegistryPolicy: `INSERT INTO registry_policy (one, document) VALUES (1, $1)
		ON CONFLICT (one) DO UPDATE SET document = excluded.document`,
	deleteRegistryPolicy: `DELETE FROM registry_policy WHERE one = 1`,
	listImages: `SELECT digest, media_type, stored_at, pulled_at FROM manifests m
		WHERE repository = $1 AND digest > $2 AND digest <= $6 AND ` + ofTagStatus + ` AND ` + strings.ReplaceAll(ofStatus, "$6", "$5") + `
		ORDER BY digest LIMIT $4`,
	getDigestAfter: `SELECT digest FROM manifests WHERE repository = $1 AND digest > $2
		ORDER BY digest LIMIT 1 OFFSET $3`,
	countManifests: `SELECT COUNT(*) FROM manifests WHERE repository = $1 AND digest >= $2 AND digest <= $3`,
	getImage: `SELECT digest, media_type, stored_at, pulled_at FROM manifests
		WHERE repository = $1 AND digest = $2`,
	listImageTags: `SELECT digest, tag FROM tags
		WHERE repository = $1 AND digest >= $2 AND digest <= $3 ORDER BY digest, tag`,
	listImageEdges: `SELECT parent, kind, digest, media_type FROM edges
		WHERE repository = $1 AND parent >= $2 AND parent <= $3 AND kind IN ('config', 'subject')
		ORDER BY parent, seq`,
	// What manifests name themselves, and what the held children of indexes name.
	listImageSizes: `SELECT parent, CAST(MAX(size) AS BIGINT) FROM (
			SELECT parent, SUM(size) AS size FROM (
				SELECT e.parent, e.digest, ` + fmt.Sprintf(countedSize, "e") + ` FROM edges e
				WHERE e.repository = $1 AND e.parent >= $2 AND e.parent <= $3 AND e.kind IN ('config', 'layer')
				GROUP BY e.parent, e.digest) own
			GROUP BY parent
			UNION ALL
			SELECT parent, SUM(size) AS size FROM (
				SELECT e.parent, c.parent AS child, c.digest, ` + fmt.Sprintf(countedSize, "c") + `
				FROM edges e JOIN edges c ON c.repository = e.repository AND c.parent = e.digest
				WHERE e.repository = $1 AND e.parent >= $2 AND e.parent <= $3 AND e.kind = 'child'
					AND c.kind IN ('config', 'layer')
				GROUP BY e.parent, c.parent, c.digest) below
			GROUP BY parent, child) sizes
		GROUP BY parent`,
	listImageIDs: `SELECT m.digest, COALESCE(t.tag, '') FROM manifests m
		LEFT JOIN tags t ON t.repository = m.repository AND t.digest = m.digest
		WHERE m.repository = $1 AND m.digest >= $2 AND m.digest <= $7 AND (m.digest > $2 OR COALESCE(t.tag, '') > $4)
			AND ` + ofTagStatus + ` AND ` + ofStatus + `
		ORDER BY m.digest, COALESCE(t.tag, '') LIMIT $5`,

	putUpload: `INSERT INTO uploads (id, repository, size, algorithm, hash, started_at, updated_at, parts, last_part, short_parts)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (id) DO UPDATE SET size = excluded.size, algorithm = excluded.algorithm,
			hash = excluded.hash, updated_at = excluded.updated_at, parts = excluded.parts,
			last_part = excluded.last_part, short_parts = excluded.short_parts
		WHERE uploads.repository = excluded.repository`,
	getUpload: `SELECT id, repository, size, algorithm, hash, started_at, updated_at, parts, last_part, short_parts
		FROM uploads WHERE repository = $1 AND id = $2`,
	saveUpload: `UPDATE uploads SET size = $3, algorithm = $4, hash = $5, updated_at = $6, parts = $7, last_part = $8, short_parts = $9
		WHERE repository = $1 AND id = $2`,
	listUploadsOf:   `SELECT id FROM uploads WHERE repository = $1`,
	deleteUploadsOf: `DELETE FROM uploads WHERE repository = $1`,
	deleteUpload:    `DELETE FROM uploads WHERE repository = $1 AND id = $2`,
	listUploads: `SELECT id, repository, size, algorithm, hash, started_at, updated_at, parts, last_part, short_parts
		FROM uploads WHERE id > $1 ORDER BY id LIMIT $2`,
	listIdleUploads: `SELECT id, repository, size, algorithm, hash, started_at, updated_at, parts, last_part, short_parts
		FROM uploads WHERE updated_at < $1 ORDER BY updated_at, id LIMIT $2`,
	isServable: `SELECT EXISTS (SELECT 1 FROM links l JOIN blobs b ON b.digest = l.digest
		WHERE l.repository = $1 AND l.digest = $2 AND b.state = 'held')`,
	getBlobType: `SELECT media_type FROM edges WHERE repository = $1 AND digest = $2 AND kind IN ('config', 'layer') AND parent = (
			SELECT parent FROM edges WHERE repository = $1 AND digest = $2 AND kind IN ('config', 'layer') ORDER BY parent LIMIT 1)
		ORDER BY seq LIMIT 1`,
	listLinkedIn: `SELECT l.repository FROM links l JOIN blobs b ON b.digest = l.digest
		WHERE l.digest = $1 AND b.state = 'held' ORDER BY l.repository LIMIT $2`,
	listTagsOf:       `SELECT tag FROM tags WHERE repository = $1 AND digest = $2 ORDER BY tag`,
	listCompleteTags: `SELECT tag FROM tags WHERE repository = $1 AND complete = $2 ORDER BY tag`,
	clearComplete:    `UPDATE tags SET complete = '' WHERE repository = $1 AND tag = $2`,
	deleteTag:        `DELETE FROM tags WHERE repository = $1 AND tag = $2`,
	deleteManifest:   `DELETE FROM manifests WHERE repository = $1 AND digest = $2`,
	deleteEdges:      `DELETE FROM edges WHERE repository = $1 AND parent = $2`,
	deleteLink:       `DELETE FROM links WHERE repository = $1 AND digest = $2`,
}
