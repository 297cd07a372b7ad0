-- What is copied to other registries.

CREATE TABLE replication (
	one   BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
	rules BYTEA NOT NULL -- JSON list
);

CREATE TABLE replication_queue (
	region      TEXT COLLATE "C" NOT NULL,
	registry_id TEXT COLLATE "C" NOT NULL,
	repository  TEXT COLLATE "C" NOT NULL,
	name        TEXT COLLATE "C" NOT NULL, -- the tag, or the digest of what was pushed without one
	digest      TEXT COLLATE "C" NOT NULL,
	queued_at   BIGINT NOT NULL,
	due_at      BIGINT NOT NULL, -- while it is claimed: when the claim is over
	attempts    BIGINT NOT NULL,
	claim       TEXT COLLATE "C" NOT NULL, -- '': nobody's
	failure     TEXT COLLATE "C" NOT NULL, -- of the last attempt; '': there was none
	reason      BYTEA NOT NULL,
	PRIMARY KEY (region, registry_id, repository, name)
);

CREATE INDEX replication_queue_due ON replication_queue (region, registry_id, due_at);
CREATE INDEX replication_queue_claim ON replication_queue (claim) WHERE claim > '';
CREATE INDEX replication_queue_name ON replication_queue (repository, name);
CREATE INDEX replication_queue_digest ON replication_queue (repository, digest);
CREATE INDEX replication_queue_queued_at ON replication_queue (queued_at);

-- How it ended.
CREATE TABLE replicated (
	repository  TEXT COLLATE "C" NOT NULL,
	digest      TEXT COLLATE "C" NOT NULL,
	region      TEXT COLLATE "C" NOT NULL,
	registry_id TEXT COLLATE "C" NOT NULL,
	ended_at    BIGINT NOT NULL,
	failure     TEXT COLLATE "C" NOT NULL, -- '': it is there
	reason      BYTEA NOT NULL,
	PRIMARY KEY (repository, digest, region, registry_id)
);
