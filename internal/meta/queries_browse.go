package meta

import "fmt"

// hasPart is true where %[1]s has the text $%[2]d, which is in lower case, somewhere in it.
const hasPart = `(CAST($%[2]d AS TEXT) = '' OR replace(lower(%[1]s), CAST($%[2]d AS TEXT), '') <> lower(%[1]s))`

// ofPage is a query of the digests that a page of tags has: from $2 to $3, of a part $4.
const ofPage = `SELECT t.digest FROM tags t
	WHERE t.repository = $1 AND t.tag >= $2 AND t.tag <= $3
		AND (CAST($4 AS TEXT) = '' OR replace(lower(t.tag), CAST($4 AS TEXT), '') <> lower(t.tag))`

// shortMember is what is read of a member for people: of what is foreign not more than they
// are shown, and of a platform one byte more than maxPlatform, which tells that it is longer.
const shortMember = `kind, digest, substr(media_type, 1, 255), size, substr(platform, 1, 1025), ` + servable + `, EXISTS (
		SELECT 1 FROM manifests m WHERE m.repository = e.repository AND m.digest = e.digest)`

// membersOf is a query of what manifests name that %s says which are: of each a few more than
// maxTogether, which tells that there are more, and of all maxPreloaded.
const membersOf = `SELECT parent, ` + shortMember + `
	FROM edges e WHERE repository = $1 AND seq <= 101 AND kind IN ('child', 'config', 'layer') AND parent IN (%s)
	ORDER BY parent, seq LIMIT 10000`

// browseTexts are the statements about what people look at, page by page.
var browseTexts = map[query]string{
	// $3 is 1 for a manifest that came and -1 for one that goes, while its edges are there. It
	// groups by no column, so that SQLite does not walk all edges in the order of an index.
	countManifest: `UPDATE repositories SET images = images + CAST($3 AS BIGINT),
			image_bytes = image_bytes + CAST($3 AS BIGINT) * COALESCE((
				SELECT CAST(CASE WHEN SUM(size) > 1099511627776 THEN 1099511627776 ELSE SUM(size) END AS BIGINT) FROM (
					SELECT ` + fmt.Sprintf(countedSize, "e") + ` FROM edges e
					WHERE e.repository = $1 AND e.parent = $2 AND e.kind IN ('config', 'layer')
					GROUP BY e.digest || '') own), 0)
		WHERE name = $1 AND EXISTS (SELECT 1 FROM manifests WHERE repository = $1 AND digest = $2)`,
	touchRepository: `UPDATE repositories SET pulled_at = $2 WHERE name = $1 AND pulled_at < $2`,
	browseRepositories: `SELECT name, created_at, kind, mutability, exclusions, resource_tags, scan_on_push, policy, archives, pushed,
			images, image_bytes, pulled_at
		FROM repositories WHERE name > $1 AND ` + fmt.Sprintf(hasPart, "name", 3) + `
			AND (CAST($4 AS TEXT) = '' OR kind = CAST($4 AS TEXT))
			AND (name >= $5 AND name <= $6 OR length(policy) > 0)
		ORDER BY name LIMIT $2`,
	getTotals: `SELECT images, image_bytes, pulled_at FROM repositories WHERE name = $1`,

	getTagAfter: `SELECT tag FROM tags WHERE repository = $1 AND tag > $2 ORDER BY tag LIMIT 1 OFFSET $3`,
	browseTags: `SELECT t.tag, t.digest, t.complete, t.checked_at, t.pulled_at, t.orphaned, m.media_type, m.stored_at,
			COALESCE(s.archived, FALSE)
		FROM tags t JOIN manifests m ON m.repository = t.repository AND m.digest = t.digest
		LEFT JOIN storage s ON s.repository = t.repository AND s.digest = t.digest
		WHERE t.repository = $1 AND t.tag > $2 AND t.tag <= $5 AND ` + fmt.Sprintf(hasPart, "t.tag", 3) + `
		ORDER BY t.tag LIMIT $4`,
	listPageMembers: fmt.Sprintf(membersOf, ofPage),
	listPageChildren: fmt.Sprintf(membersOf, `SELECT c.digest FROM edges c
		WHERE c.repository = $1 AND c.seq <= 101 AND c.kind = 'child' AND c.parent IN (`+ofPage+`)`),
	listRepositoryMoves: `SELECT tag, n, from_digest, to_digest, moved_at FROM tag_history
		WHERE repository = $1 AND (moved_at, tag, n) < ($2, $3, $4)
		ORDER BY moved_at DESC, tag DESC, n DESC LIMIT $5`,
	listTagMoves: `SELECT tag, n, from_digest, to_digest, moved_at FROM tag_history
		WHERE repository = $1 AND tag = $2 AND n < $3 ORDER BY n DESC LIMIT $4`,
	listSomeIndexes: `SELECT DISTINCT parent FROM edges
		WHERE repository = $1 AND digest = $2 AND kind = 'child' ORDER BY parent LIMIT $3`,
	listSomeMembers: `SELECT ` + shortMember + `
		FROM edges e WHERE repository = $1 AND parent = $2 AND kind IN ('child', 'config', 'layer')
		ORDER BY seq LIMIT $3`,
}
