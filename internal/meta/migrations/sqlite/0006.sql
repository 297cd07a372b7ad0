-- What is copied to other registries.

CREATE TABLE replication (
	one   INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
	rules BLOB    NOT NULL -- JSON list
) STRICT, WITHOUT ROWID;

CREATE TABLE replication_queue (
	region      TEXT    NOT NULL,
	registry_id TEXT    NOT NULL,
	repository  TEXT    NOT NULL,
	name        TEXT    NOT NULL, -- the tag, or the digest of what was pushed without one
	digest      TEXT    NOT NULL,
	queued_at   INTEGER NOT NULL,
	due_at      INTEGER NOT NULL, -- while it is claimed: when the claim is over
	attempts    INTEGER NOT NULL,
	claim       TEXT    NOT NULL, -- '': nobody's
	failure     TEXT    NOT NULL, -- of the last attempt; '': there was none
	reason      BLOB    NOT NULL,
	PRIMARY KEY (region, registry_id, repository, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX replication_queue_due ON replication_queue (region, registry_id, due_at);
CREATE INDEX replication_queue_claim ON replication_queue (claim) WHERE claim > '';
CREATE INDEX replication_queue_name ON replication_queue (repository, name);
CREATE INDEX replication_queue_digest ON replication_queue (repository, digest);
CREATE INDEX replication_queue_queued_at ON replication_queue (queued_at);

-- How it ended.
CREATE TABLE replicated (
	repository  TEXT    NOT NULL,
	digest      TEXT    NOT NULL,
	region      TEXT    NOT NULL,
	registry_id TEXT    NOT NULL,
	ended_at    INTEGER NOT NULL,
	failure     TEXT    NOT NULL, -- '': it is there
	reason      BLOB    NOT NULL,
	PRIMARY KEY (repository, digest, region, registry_id)
) STRICT, WITHOUT ROWID;
