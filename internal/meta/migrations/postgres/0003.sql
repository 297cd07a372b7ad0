-- Repositories that were there are of the cache.

ALTER TABLE repositories ADD COLUMN kind TEXT COLLATE "C" NOT NULL DEFAULT 'cached' CHECK (kind IN ('cached', 'own'));
ALTER TABLE repositories ADD COLUMN mutability TEXT COLLATE "C" NOT NULL DEFAULT 'MUTABLE';
ALTER TABLE repositories ADD COLUMN exclusions BYTEA NOT NULL DEFAULT ''; -- JSON list of filters; empty: none
ALTER TABLE repositories ADD COLUMN resource_tags BYTEA NOT NULL DEFAULT ''; -- JSON; empty: none

CREATE TABLE templates (
	prefix        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	applied_for   BYTEA   NOT NULL, -- JSON list
	description   BYTEA   NOT NULL,
	mutability    TEXT COLLATE "C" NOT NULL,
	exclusions    BYTEA   NOT NULL, -- JSON list of filters; empty: none
	resource_tags BYTEA   NOT NULL, -- JSON; empty: none
	custom_role   BYTEA   NOT NULL,
	declared      BOOLEAN NOT NULL, -- of the configuration
	created_at    BIGINT  NOT NULL,
	updated_at    BIGINT  NOT NULL
);
