-- Times are microseconds since 1970 UTC, 0 for none. TEXT holds only what the
-- grammar of package oci, or ours, has checked; everything foreign is BLOB.

CREATE TABLE registry (
	one        INTEGER PRIMARY KEY CHECK (one = 1), -- there is one registry
	id         TEXT    NOT NULL,
	region     TEXT    NOT NULL,
	created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE access_keys (
	id         TEXT    NOT NULL PRIMARY KEY,
	principal  TEXT    NOT NULL,
	root       INTEGER NOT NULL,
	active     INTEGER NOT NULL,
	sealed     BLOB    NOT NULL,
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE repositories (
	name       TEXT    NOT NULL PRIMARY KEY,
	created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- With a rowid: rows are large.
CREATE TABLE manifests (
	repository TEXT    NOT NULL REFERENCES repositories (name),
	digest     TEXT    NOT NULL,
	media_type BLOB    NOT NULL,
	stored_at  INTEGER NOT NULL,
	pulled_at  INTEGER NOT NULL,
	raw        BLOB    NOT NULL,
	PRIMARY KEY (repository, digest)
) STRICT;

CREATE TABLE edges (
	repository TEXT    NOT NULL,
	parent     TEXT    NOT NULL,
	seq        INTEGER NOT NULL, -- place in the manifest
	kind       TEXT    NOT NULL CHECK (kind IN ('child', 'config', 'layer', 'subject')),
	digest     TEXT    NOT NULL,
	media_type BLOB    NOT NULL,
	size       INTEGER NOT NULL,
	platform   BLOB    NOT NULL, -- JSON; empty: none
	PRIMARY KEY (repository, parent, seq),
	FOREIGN KEY (repository, parent) REFERENCES manifests (repository, digest)
) STRICT, WITHOUT ROWID;

-- All that is asked of edges by digest, so that SQLite takes it and not the primary key.
CREATE INDEX edges_digest ON edges (repository, digest, parent, kind, size);

CREATE TABLE blobs (
	digest      TEXT    NOT NULL PRIMARY KEY,
	size        INTEGER NOT NULL,
	state       TEXT    NOT NULL CHECK (state IN ('held', 'going')),
	public      INTEGER NOT NULL,
	stored_at   INTEGER NOT NULL,
	pulled_at   INTEGER NOT NULL,
	verified_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE links (
	repository TEXT    NOT NULL REFERENCES repositories (name),
	digest     TEXT    NOT NULL REFERENCES blobs (digest),
	linked_at  INTEGER NOT NULL,
	PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE tags (
	repository TEXT    NOT NULL,
	tag        TEXT    NOT NULL,
	digest     TEXT    NOT NULL,
	complete   TEXT    NOT NULL, -- '': none
	checked_at INTEGER NOT NULL,
	pulled_at  INTEGER NOT NULL,
	orphaned   INTEGER NOT NULL,
	PRIMARY KEY (repository, tag),
	FOREIGN KEY (repository, digest) REFERENCES manifests (repository, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX tags_digest ON tags (repository, digest, tag, complete);

CREATE TABLE tag_history (
	repository  TEXT    NOT NULL,
	tag         TEXT    NOT NULL,
	n           INTEGER NOT NULL, -- 1, 2, ... for each tag: no clock decides the order
	from_digest TEXT    NOT NULL, -- '' at the tag's first appearance
	to_digest   TEXT    NOT NULL,
	moved_at    INTEGER NOT NULL,
	PRIMARY KEY (repository, tag, n),
	FOREIGN KEY (repository, tag) REFERENCES tags (repository, tag)
) STRICT, WITHOUT ROWID;
