-- Times are microseconds since 1970 UTC, 0 for none. TEXT holds only what the
-- grammar of package oci, or ours, has checked; everything foreign is BYTEA.

CREATE TABLE registry (
	one        BIGINT PRIMARY KEY CHECK (one = 1), -- there is one registry
	id         TEXT COLLATE "C" NOT NULL,
	region     TEXT COLLATE "C" NOT NULL,
	created_at BIGINT  NOT NULL
);

CREATE TABLE access_keys (
	id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	principal  TEXT COLLATE "C" NOT NULL,
	root       BOOLEAN NOT NULL,
	active     BOOLEAN NOT NULL,
	sealed     BYTEA   NOT NULL,
	created_at BIGINT  NOT NULL,
	expires_at BIGINT  NOT NULL
);

CREATE TABLE repositories (
	name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	created_at BIGINT  NOT NULL
);

CREATE TABLE manifests (
	repository TEXT COLLATE "C" NOT NULL REFERENCES repositories (name),
	digest     TEXT COLLATE "C" NOT NULL,
	media_type BYTEA   NOT NULL,
	stored_at  BIGINT  NOT NULL,
	pulled_at  BIGINT  NOT NULL,
	raw        BYTEA   NOT NULL,
	PRIMARY KEY (repository, digest)
);

CREATE TABLE edges (
	repository TEXT COLLATE "C" NOT NULL,
	parent     TEXT COLLATE "C" NOT NULL,
	seq        BIGINT  NOT NULL, -- place in the manifest
	kind       TEXT COLLATE "C" NOT NULL CHECK (kind IN ('child', 'config', 'layer', 'subject')),
	digest     TEXT COLLATE "C" NOT NULL,
	media_type BYTEA   NOT NULL,
	size       BIGINT  NOT NULL,
	platform   BYTEA   NOT NULL, -- JSON; empty: none
	PRIMARY KEY (repository, parent, seq),
	FOREIGN KEY (repository, parent) REFERENCES manifests (repository, digest)
);

-- All that is asked of edges by digest, so that SQLite takes it and not the primary key.
CREATE INDEX edges_digest ON edges (repository, digest, parent, kind, size);

CREATE TABLE blobs (
	digest      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	size        BIGINT  NOT NULL,
	state       TEXT COLLATE "C" NOT NULL CHECK (state IN ('held', 'going')),
	public      BOOLEAN NOT NULL,
	stored_at   BIGINT  NOT NULL,
	pulled_at   BIGINT  NOT NULL,
	verified_at BIGINT  NOT NULL
);

CREATE TABLE links (
	repository TEXT COLLATE "C" NOT NULL REFERENCES repositories (name),
	digest     TEXT COLLATE "C" NOT NULL REFERENCES blobs (digest),
	linked_at  BIGINT  NOT NULL,
	PRIMARY KEY (repository, digest)
);

CREATE TABLE tags (
	repository TEXT COLLATE "C" NOT NULL,
	tag        TEXT COLLATE "C" NOT NULL,
	digest     TEXT COLLATE "C" NOT NULL,
	complete   TEXT COLLATE "C" NOT NULL, -- '': none
	checked_at BIGINT  NOT NULL,
	pulled_at  BIGINT  NOT NULL,
	orphaned   BOOLEAN NOT NULL,
	PRIMARY KEY (repository, tag),
	FOREIGN KEY (repository, digest) REFERENCES manifests (repository, digest)
);

CREATE INDEX tags_digest ON tags (repository, digest, tag, complete);

CREATE TABLE tag_history (
	repository  TEXT COLLATE "C" NOT NULL,
	tag         TEXT COLLATE "C" NOT NULL,
	n           BIGINT  NOT NULL, -- 1, 2, ... for each tag: no clock decides the order
	from_digest TEXT COLLATE "C" NOT NULL, -- '' at the tag's first appearance
	to_digest   TEXT COLLATE "C" NOT NULL,
	moved_at    BIGINT  NOT NULL,
	PRIMARY KEY (repository, tag, n),
	FOREIGN KEY (repository, tag) REFERENCES tags (repository, tag)
);
