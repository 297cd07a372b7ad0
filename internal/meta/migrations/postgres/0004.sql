-- Blobs that clients are sending: what of them is durable, and the hash's state there.

CREATE TABLE uploads (
	id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	repository TEXT COLLATE "C" NOT NULL,
	size       BIGINT NOT NULL,
	algorithm  TEXT COLLATE "C" NOT NULL,
	hash       BYTEA  NOT NULL, -- empty: nothing is hashed yet
	started_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);

CREATE INDEX uploads_updated_at ON uploads (updated_at);

-- Who else has a blob: for mounts, and before its bytes go.
CREATE INDEX links_digest ON links (digest, repository);

-- The history of a tag outlives the tag. from_digest '': it was not there; to_digest
-- '': it was deleted.
ALTER TABLE tag_history DROP CONSTRAINT tag_history_repository_tag_fkey;

CREATE INDEX tags_complete ON tags (repository, complete, tag);

-- Whether clients may push to a rule's repositories too.
ALTER TABLE rules ADD COLUMN push BOOLEAN NOT NULL DEFAULT FALSE;
