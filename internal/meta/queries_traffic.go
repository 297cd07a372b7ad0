package meta

// trafficTexts are the statements about traffic, what is held and what comes, which have no place in
// texts.
var trafficTexts = map[query]string{
	addTraffic: `INSERT INTO traffic (hour, prefix, pulls, hits, bytes, hit_bytes, upstream_bytes)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (hour, prefix) DO UPDATE SET pulls = traffic.pulls + excluded.pulls,
			hits = traffic.hits + excluded.hits, bytes = traffic.bytes + excluded.bytes,
			hit_bytes = traffic.hit_bytes + excluded.hit_bytes,
			upstream_bytes = traffic.upstream_bytes + excluded.upstream_bytes`,
	listTraffic: `SELECT hour / $2 * $2 AS at, prefix, CAST(SUM(pulls) AS BIGINT), CAST(SUM(hits) AS BIGINT),
			CAST(SUM(bytes) AS BIGINT), CAST(SUM(hit_bytes) AS BIGINT), CAST(SUM(upstream_bytes) AS BIGINT)
		FROM traffic WHERE hour >= $1 GROUP BY 1, prefix ORDER BY 1, prefix`,
	listNaming: `SELECT DISTINCT parent FROM edges
		WHERE repository = $1 AND digest = $2 AND kind IN ('child', 'config', 'layer')
		ORDER BY parent LIMIT $3`,
	listSomeTagsOf: `SELECT tag FROM tags WHERE repository = $1 AND digest = $2 ORDER BY tag LIMIT $3`,
	dropTraffic:    `DELETE FROM traffic WHERE hour < $1`,
	sumHeld:        `SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM blobs WHERE state = 'held'`,
}
