-- Blobs that clients are sending: what of them is durable, and the hash's state there.

CREATE TABLE uploads (
	id         TEXT    NOT NULL PRIMARY KEY,
	repository TEXT    NOT NULL,
	size       INTEGER NOT NULL,
	algorithm  TEXT    NOT NULL,
	hash       BLOB    NOT NULL, -- empty: nothing is hashed yet
	started_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX uploads_updated_at ON uploads (updated_at);

-- Who else has a blob: for mounts, and before its bytes go.
CREATE INDEX links_digest ON links (digest, repository);

-- The history of a tag outlives the tag.
CREATE TABLE moves (
	repository  TEXT    NOT NULL,
	tag         TEXT    NOT NULL,
	n           INTEGER NOT NULL, -- 1, 2, ... for each tag: no clock decides the order
	from_digest TEXT    NOT NULL, -- '': it was not there
	to_digest   TEXT    NOT NULL, -- '': it was deleted
	moved_at    INTEGER NOT NULL,
	PRIMARY KEY (repository, tag, n)
) STRICT, WITHOUT ROWID;

INSERT INTO moves (repository, tag, n, from_digest, to_digest, moved_at)
	SELECT repository, tag, n, from_digest, to_digest, moved_at FROM tag_history;
DROP TABLE tag_history;
ALTER TABLE moves RENAME TO tag_history;

CREATE INDEX tags_complete ON tags (repository, complete, tag);

-- Whether clients may push to a rule's repositories too.
ALTER TABLE rules ADD COLUMN push INTEGER NOT NULL DEFAULT FALSE;
