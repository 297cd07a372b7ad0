-- What lifecycle policies do, and the archive.

-- Whether an image of it was ever archived: most pulls need not ask more.
ALTER TABLE repositories ADD COLUMN archives BOOLEAN NOT NULL DEFAULT FALSE;

-- Of images that are or were archived.
CREATE TABLE storage (
	repository   TEXT COLLATE "C" NOT NULL,
	digest       TEXT COLLATE "C" NOT NULL,
	archived     BOOLEAN NOT NULL,
	archived_at  BIGINT  NOT NULL,
	activated_at BIGINT  NOT NULL,
	PRIMARY KEY (repository, digest),
	FOREIGN KEY (repository, digest) REFERENCES manifests (repository, digest)
);

CREATE TABLE lifecycle_policies (
	repository   TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES repositories (name),
	document     BYTEA   NOT NULL,
	evaluated_at BIGINT  NOT NULL
);

-- The last images that a policy removed or archived.
CREATE TABLE lifecycle_events (
	repository TEXT COLLATE "C" NOT NULL REFERENCES repositories (name),
	n          BIGINT  NOT NULL, -- 1, 2, ... for each repository
	at         BIGINT  NOT NULL,
	action     TEXT COLLATE "C" NOT NULL,
	priority   BIGINT  NOT NULL, -- of the rule; 0: of weir's own
	digest     TEXT COLLATE "C" NOT NULL,
	subject    TEXT COLLATE "C" NOT NULL, -- the image that it went with; '': it went by itself
	tags       BYTEA   NOT NULL, -- JSON list; empty: none
	pushed_at  BIGINT  NOT NULL,
	PRIMARY KEY (repository, n)
);

CREATE TABLE lifecycle_previews (
	repository TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES repositories (name),
	document   BYTEA   NOT NULL,
	status     TEXT COLLATE "C" NOT NULL,
	started_at BIGINT  NOT NULL,
	expire     BIGINT  NOT NULL, -- so many images would go
	archive    BIGINT  NOT NULL  -- so many would be archived
);

CREATE INDEX lifecycle_previews_started_at ON lifecycle_previews (started_at);

CREATE TABLE lifecycle_results (
	repository TEXT COLLATE "C" NOT NULL REFERENCES lifecycle_previews (repository),
	digest     TEXT COLLATE "C" NOT NULL,
	action     TEXT COLLATE "C" NOT NULL,
	priority   BIGINT  NOT NULL,
	archived   BOOLEAN NOT NULL,
	tagged     BOOLEAN NOT NULL,
	tags       BYTEA   NOT NULL, -- JSON list; empty: none
	pushed_at  BIGINT  NOT NULL,
	PRIMARY KEY (repository, digest)
);

ALTER TABLE templates ADD COLUMN lifecycle_policy BYTEA NOT NULL DEFAULT ''; -- empty: none

-- Whether a tag has left an image while a policy was evaluated.
CREATE INDEX tag_history_moved_at ON tag_history (repository, moved_at);
