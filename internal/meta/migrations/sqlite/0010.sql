-- What lifecycle policies do, and the archive.

-- Whether an image of it was ever archived: most pulls need not ask more.
ALTER TABLE repositories ADD COLUMN archives INTEGER NOT NULL DEFAULT FALSE;

-- Of images that are or were archived.
CREATE TABLE storage (
	repository   TEXT    NOT NULL,
	digest       TEXT    NOT NULL,
	archived     INTEGER NOT NULL,
	archived_at  INTEGER NOT NULL,
	activated_at INTEGER NOT NULL,
	PRIMARY KEY (repository, digest),
	FOREIGN KEY (repository, digest) REFERENCES manifests (repository, digest)
) STRICT, WITHOUT ROWID;

-- With a rowid: rows are large.
CREATE TABLE lifecycle_policies (
	repository   TEXT    NOT NULL PRIMARY KEY REFERENCES repositories (name),
	document     BLOB    NOT NULL,
	evaluated_at INTEGER NOT NULL
) STRICT;

-- The last images that a policy removed or archived.
CREATE TABLE lifecycle_events (
	repository TEXT    NOT NULL REFERENCES repositories (name),
	n          INTEGER NOT NULL, -- 1, 2, ... for each repository
	at         INTEGER NOT NULL,
	action     TEXT    NOT NULL,
	priority   INTEGER NOT NULL, -- of the rule; 0: of weir's own
	digest     TEXT    NOT NULL,
	subject    TEXT    NOT NULL, -- the image that it went with; '': it went by itself
	tags       BLOB    NOT NULL, -- JSON list; empty: none
	pushed_at  INTEGER NOT NULL,
	PRIMARY KEY (repository, n)
) STRICT;

CREATE TABLE lifecycle_previews (
	repository TEXT    NOT NULL PRIMARY KEY REFERENCES repositories (name),
	document   BLOB    NOT NULL,
	status     TEXT    NOT NULL,
	started_at INTEGER NOT NULL,
	expire     INTEGER NOT NULL, -- so many images would go
	archive    INTEGER NOT NULL  -- so many would be archived
) STRICT;

CREATE INDEX lifecycle_previews_started_at ON lifecycle_previews (started_at);

CREATE TABLE lifecycle_results (
	repository TEXT    NOT NULL REFERENCES lifecycle_previews (repository),
	digest     TEXT    NOT NULL,
	action     TEXT    NOT NULL,
	priority   INTEGER NOT NULL,
	archived   INTEGER NOT NULL,
	tagged     INTEGER NOT NULL,
	tags       BLOB    NOT NULL, -- JSON list; empty: none
	pushed_at  INTEGER NOT NULL,
	PRIMARY KEY (repository, digest)
) STRICT;

ALTER TABLE templates ADD COLUMN lifecycle_policy BLOB NOT NULL DEFAULT x''; -- empty: none

-- Whether a tag has left an image while a policy was evaluated.
CREATE INDEX tag_history_moved_at ON tag_history (repository, moved_at);
