-- Whether a repository says that what is pushed there be scanned.
ALTER TABLE repositories ADD COLUMN scan_on_push BOOLEAN NOT NULL DEFAULT FALSE;

-- What the API sets for the whole registry.
CREATE TABLE settings (
	kind       TEXT COLLATE "C" NOT NULL,
	name       TEXT COLLATE "C" NOT NULL,
	value      BYTEA  NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (kind, name)
);
