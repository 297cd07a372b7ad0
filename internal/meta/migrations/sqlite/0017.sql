-- What a repository comes to, so that a list of them need not count. See
-- RepositoryTotals for what it is.

ALTER TABLE repositories ADD COLUMN images INTEGER NOT NULL DEFAULT 0;
ALTER TABLE repositories ADD COLUMN image_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE repositories ADD COLUMN pulled_at INTEGER NOT NULL DEFAULT 0;

UPDATE repositories SET
	images = (SELECT COUNT(*) FROM manifests m WHERE m.repository = repositories.name),
	image_bytes = COALESCE((
		SELECT SUM(CASE WHEN size > 1099511627776 THEN 1099511627776 ELSE size END) FROM (
			SELECT parent, SUM(size) AS size FROM (
				SELECT e.parent, e.digest, CASE WHEN MAX(e.size) > 70368744177664 THEN 70368744177664 ELSE MAX(e.size) END AS size
				FROM edges e WHERE e.repository = repositories.name AND e.kind IN ('config', 'layer')
				GROUP BY e.parent, e.digest) blobs
			GROUP BY parent) own), 0),
	pulled_at = COALESCE((SELECT MAX(m.pulled_at) FROM manifests m
		WHERE m.repository = repositories.name AND m.pulled_at > m.stored_at), 0);

-- The moves of all tags of a repository, newest first.
CREATE INDEX tag_history_recent ON tag_history (repository, moved_at, tag, n);
