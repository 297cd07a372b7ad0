package meta

// lifecycleTexts are the statements about lifecycle policies, the archive and referrers,
// which have no place in texts.
var lifecycleTexts = map[query]string{
	getStorage: `SELECT archived, archived_at, activated_at FROM storage WHERE repository = $1 AND digest = $2`,
	putStorage: `INSERT INTO storage (repository, digest, archived, archived_at, activated_at)
		VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (repository, digest) DO UPDATE SET archived = excluded.archived,
			archived_at = excluded.archived_at, activated_at = excluded.activated_at`,
	deleteStorage:   `DELETE FROM storage WHERE repository = $1 AND digest = $2`,
	deleteStorageOf: `DELETE FROM storage WHERE repository = $1`,
	putNeeded: `INSERT INTO needed (repository, digest, at)
		SELECT repository, digest, CAST($3 AS BIGINT) FROM manifests WHERE repository = $1 AND digest = $2
		ON CONFLICT (repository, digest) DO UPDATE SET at = excluded.at WHERE needed.at < excluded.at`,
	deleteNeeded:   `DELETE FROM needed WHERE repository = $1 AND digest = $2`,
	deleteNeededOf: `DELETE FROM needed WHERE repository = $1`,
	// Not of what an index names: it does not go.
	putReleased: `INSERT INTO released (repository, digest)
		SELECT e.repository, e.digest FROM edges e
		JOIN manifests m ON m.repository = e.repository AND m.digest = e.digest
		WHERE e.repository = $1 AND e.parent = $2 AND e.kind = 'child' AND NOT EXISTS (
			SELECT 1 FROM edges i WHERE i.repository = $1 AND i.digest = $2 AND i.kind = 'child')
		ON CONFLICT (repository, digest) DO NOTHING`,
	// What a tag left longer ago than its history goes.
	putReleasedMoves: `INSERT INTO released (repository, digest)
		SELECT DISTINCT h.repository, h.from_digest FROM tag_history h
		JOIN manifests m ON m.repository = h.repository AND m.digest = h.from_digest
		WHERE h.repository = $1 AND h.tag = $2 AND h.n <= $3
		ON CONFLICT (repository, digest) DO NOTHING`,
	trimMoves:        `DELETE FROM tag_history WHERE repository = $1 AND tag = $2 AND n <= $3`,
	deleteReleased:   `DELETE FROM released WHERE repository = $1 AND digest = $2`,
	deleteReleasedOf: `DELETE FROM released WHERE repository = $1`,
	noteArchives:     `UPDATE repositories SET archives = TRUE WHERE name = $1`,
	notePushed:       `UPDATE repositories SET pushed = TRUE WHERE name = $1`,
	listImageStorage: `SELECT digest, archived, archived_at, activated_at FROM storage
		WHERE repository = $1 AND digest >= $2 AND digest <= $3 ORDER BY digest`,
	listHeldChildren: `SELECT digest FROM edges e
		WHERE repository = $1 AND parent = $2 AND kind = 'child' AND EXISTS (
			SELECT 1 FROM manifests m WHERE m.repository = e.repository AND m.digest = e.digest)
		ORDER BY seq`,
	listActiveIndexes: `SELECT DISTINCT parent FROM edges e
		WHERE repository = $1 AND digest = $2 AND kind = 'child' AND NOT EXISTS (
			SELECT 1 FROM storage s WHERE s.repository = e.repository AND s.digest = e.parent AND s.archived)
		ORDER BY parent`,
	// Some manifest names the blob, and none that does is not archived.
	isInArchive: `SELECT EXISTS (SELECT 1 FROM edges WHERE repository = $1 AND digest = $2 AND kind IN ('config', 'layer'))
		AND NOT EXISTS (SELECT 1 FROM edges e
			WHERE e.repository = $1 AND e.digest = $2 AND e.kind IN ('config', 'layer') AND NOT EXISTS (
				SELECT 1 FROM storage s WHERE s.repository = e.repository AND s.digest = e.parent AND s.archived))`,

	getPolicy: `SELECT document, evaluated_at FROM lifecycle_policies WHERE repository = $1`,
	putPolicyOf: `INSERT INTO lifecycle_policies (repository, document, evaluated_at) VALUES ($1, $2, 0)
		ON CONFLICT (repository) DO UPDATE SET document = excluded.document, evaluated_at = 0`,
	deletePolicyOf: `DELETE FROM lifecycle_policies WHERE repository = $1`,
	notePolicyRun: `UPDATE lifecycle_policies SET evaluated_at = $3
		WHERE repository = $1 AND document = $2 AND evaluated_at < $3`,
	listLifecycles: `SELECT r.name, r.kind, p.document FROM repositories r
		LEFT JOIN lifecycle_policies p ON p.repository = r.name
		WHERE r.name > $1 AND (r.kind = 'cached' AND NOT r.pushed OR p.repository IS NOT NULL) ORDER BY r.name LIMIT $2`,

	// The columns before raw, so that the bytes are not read.
	listFacts: `SELECT m.digest, m.stored_at, m.pulled_at, COALESCE(n.at, 0),
			COALESCE(s.archived, FALSE), COALESCE(s.archived_at, 0), COALESCE(s.activated_at, 0)
		FROM manifests m LEFT JOIN storage s ON s.repository = m.repository AND s.digest = m.digest
		LEFT JOIN needed n ON n.repository = m.repository AND n.digest = m.digest
		WHERE m.repository = $1 AND m.digest > $2 ORDER BY m.digest LIMIT $3`,
	getFacts: `SELECT m.digest, m.stored_at, m.pulled_at, COALESCE(n.at, 0),
			COALESCE(s.archived, FALSE), COALESCE(s.archived_at, 0), COALESCE(s.activated_at, 0)
		FROM manifests m LEFT JOIN storage s ON s.repository = m.repository AND s.digest = m.digest
		LEFT JOIN needed n ON n.repository = m.repository AND n.digest = m.digest
		WHERE m.repository = $1 AND m.digest = $2`,
	listFactEdges: `SELECT parent, kind, digest FROM edges
		WHERE repository = $1 AND parent >= $2 AND parent <= $3 AND kind IN ('child', 'subject')
		ORDER BY parent, seq`,
	getChanges: `SELECT COALESCE(MAX(changes), 0) FROM repositories WHERE name = $1`,
	noteChange: `UPDATE repositories SET changes = changes + 1 WHERE name = $1
		AND EXISTS (SELECT 1 FROM lifecycle_policies p WHERE p.repository = $1)`,

	listLeft: `SELECT DISTINCT from_digest FROM tag_history WHERE repository = $1
		UNION ALL SELECT digest FROM released WHERE repository = $1`,

	getLastEvent: `SELECT COALESCE(MAX(n), 0) FROM lifecycle_events WHERE repository = $1`,
	putEvent: `INSERT INTO lifecycle_events (repository, n, at, action, priority, digest, subject, tags, pushed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
	trimEvents: `DELETE FROM lifecycle_events WHERE repository = $1 AND n <= $2`,
	listEvents: `SELECT n, at, action, priority, digest, subject, tags, pushed_at FROM lifecycle_events
		WHERE repository = $1 AND n < $2 ORDER BY n DESC LIMIT $3`,
	deleteEventsOf: `DELETE FROM lifecycle_events WHERE repository = $1`,

	getPreview: `SELECT document, status, started_at, expire, archive FROM lifecycle_previews WHERE repository = $1`,
	putPreview: `INSERT INTO lifecycle_previews (repository, document, status, started_at, expire, archive)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (repository) DO UPDATE SET document = excluded.document, status = excluded.status,
			started_at = excluded.started_at, expire = excluded.expire, archive = excluded.archive`,
	deletePreview:   `DELETE FROM lifecycle_previews WHERE repository = $1`,
	listOldPreviews: `SELECT repository FROM lifecycle_previews WHERE started_at < $1 ORDER BY started_at LIMIT $2`,
	putResult: `INSERT INTO lifecycle_results (repository, digest, action, priority, archived, tagged, tags, pushed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
	listResults: `SELECT digest, action, priority, archived, tags, pushed_at FROM lifecycle_results
		WHERE repository = $1 AND digest > $2 AND (CAST($3 AS TEXT) = 'any' OR (CAST($3 AS TEXT) = 'tagged') = tagged)
		ORDER BY digest LIMIT $4`,
	getResult: `SELECT digest, action, priority, archived, tags, pushed_at FROM lifecycle_results
		WHERE repository = $1 AND digest = $2`,
	deleteResultsOf: `DELETE FROM lifecycle_results WHERE repository = $1`,

	getReferrers: `SELECT list, checked_at FROM referrers WHERE repository = $1 AND subject = $2`,
	putReferrers: `INSERT INTO referrers (repository, subject, list, checked_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (repository, subject) DO UPDATE SET list = excluded.list, checked_at = excluded.checked_at`,
	checkReferrers:    `UPDATE referrers SET checked_at = $3 WHERE repository = $1 AND subject = $2`,
	deleteReferrers:   `DELETE FROM referrers WHERE repository = $1 AND subject = $2`,
	deleteReferrersOf: `DELETE FROM referrers WHERE repository = $1`,
}
