package meta

// replicationTexts are the statements about copies to other registries, which have no place
// in texts.
var replicationTexts = map[query]string{
	getReplication: `SELECT rules FROM replication`,
	putReplication: `INSERT INTO replication (one, rules) VALUES (1, $1)
		ON CONFLICT (one) DO UPDATE SET rules = excluded.rules`,
	// Whoever has claimed it goes on with it: the claim stays.
	queueReplication: `INSERT INTO replication_queue (region, registry_id, repository, name, digest,
			queued_at, due_at, attempts, claim, failure, reason)
		VALUES ($1, $2, $3, $4, $5, $6, $6, 0, '', '', $7)
		ON CONFLICT (region, registry_id, repository, name) DO UPDATE SET digest = excluded.digest,
			queued_at = excluded.queued_at, attempts = 0, failure = '', reason = excluded.reason,
			due_at = CASE WHEN replication_queue.claim = '' THEN excluded.due_at ELSE replication_queue.due_at END`,
	listQueues: `SELECT region, registry_id, COUNT(*), MIN(queued_at) FROM replication_queue
		GROUP BY region, registry_id ORDER BY region, registry_id`,
	listDue: `SELECT repository, name, digest, queued_at, attempts FROM replication_queue
		WHERE region = $1 AND registry_id = $2 AND due_at <= $3 ORDER BY due_at LIMIT 1`,
	getNextDue: `SELECT due_at FROM replication_queue
		WHERE region = $1 AND registry_id = $2 ORDER BY due_at LIMIT 1`,
	claimQueued: `UPDATE replication_queue SET claim = $5, due_at = $6, attempts = attempts + 1
		WHERE region = $1 AND registry_id = $2 AND repository = $3 AND name = $4`,
	renewQueued: `UPDATE replication_queue SET due_at = $6
		WHERE region = $1 AND registry_id = $2 AND repository = $3 AND name = $4 AND claim = $5`,
	endQueued: `DELETE FROM replication_queue
		WHERE region = $1 AND registry_id = $2 AND repository = $3 AND name = $4 AND claim = $5 AND digest = $6`,
	postponeQueued: `UPDATE replication_queue SET claim = '', due_at = $8,
			failure = CASE WHEN CAST($9 AS TEXT) = '' THEN failure ELSE CAST($9 AS TEXT) END,
			reason = CASE WHEN CAST($9 AS TEXT) = '' THEN reason ELSE $10 END
		WHERE region = $1 AND registry_id = $2 AND repository = $3 AND name = $4 AND claim = $5 AND digest = $6 AND queued_at = $7`,
	releaseQueued: `UPDATE replication_queue SET claim = '', due_at = queued_at
		WHERE region = $1 AND registry_id = $2 AND repository = $3 AND name = $4 AND claim = $5`,
	freeQueued: `UPDATE replication_queue SET claim = '', due_at = $1 WHERE claim > ''`,
	getLastDue: `SELECT due_at FROM replication_queue
		WHERE region = $1 AND registry_id = $2 ORDER BY due_at DESC LIMIT 1`,
	hurryQueued: `UPDATE replication_queue SET due_at = $3, queued_at = CASE WHEN queued_at > $3 THEN $3 ELSE queued_at END
		WHERE region = $1 AND registry_id = $2 AND due_at > $4`,
	listOverdue: `SELECT region, registry_id, repository, name, digest, failure, reason FROM replication_queue
		WHERE queued_at < $1 AND (claim = '' OR due_at <= $2) ORDER BY queued_at LIMIT $3`,
	listQueuedOf: `SELECT DISTINCT region, registry_id FROM replication_queue
		WHERE repository = $1 AND digest = $2 ORDER BY region, registry_id`,
	putReplicated: `INSERT INTO replicated (repository, digest, region, registry_id, ended_at, failure, reason)
		SELECT repository, digest, CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS BIGINT), CAST($6 AS TEXT), $7
		FROM manifests WHERE repository = $1 AND digest = $2
		ON CONFLICT (repository, digest, region, registry_id) DO UPDATE SET
			ended_at = excluded.ended_at, failure = excluded.failure, reason = excluded.reason`,
	listReplicated: `SELECT region, registry_id, failure, reason FROM replicated
		WHERE repository = $1 AND digest = $2 ORDER BY region, registry_id`,
	deleteQueueOf: `DELETE FROM replication_queue WHERE repository = $1`,
	deleteQueued: `DELETE FROM replication_queue
		WHERE region = $1 AND registry_id = $2 AND repository = $3 AND name = $4`,
	deleteQueuedName:      `DELETE FROM replication_queue WHERE repository = $1 AND name = $2`,
	deleteQueuedImage:     `DELETE FROM replication_queue WHERE repository = $1 AND digest = $2`,
	deleteQueueTo:         `DELETE FROM replication_queue WHERE region = $1 AND registry_id = $2`,
	deleteReplicatedOf:    `DELETE FROM replicated WHERE repository = $1`,
	deleteReplicatedImage: `DELETE FROM replicated WHERE repository = $1 AND digest = $2`,
}
