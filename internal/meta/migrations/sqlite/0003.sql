-- Repositories that were there are of the cache.

ALTER TABLE repositories ADD COLUMN kind TEXT NOT NULL DEFAULT 'cached' CHECK (kind IN ('cached', 'own'));
ALTER TABLE repositories ADD COLUMN mutability TEXT NOT NULL DEFAULT 'MUTABLE';
ALTER TABLE repositories ADD COLUMN exclusions BLOB NOT NULL DEFAULT x''; -- JSON list of filters; empty: none
ALTER TABLE repositories ADD COLUMN resource_tags BLOB NOT NULL DEFAULT x''; -- JSON; empty: none

CREATE TABLE templates (
	prefix        TEXT    NOT NULL PRIMARY KEY,
	applied_for   BLOB    NOT NULL, -- JSON list
	description   BLOB    NOT NULL,
	mutability    TEXT    NOT NULL,
	exclusions    BLOB    NOT NULL, -- JSON list of filters; empty: none
	resource_tags BLOB    NOT NULL, -- JSON; empty: none
	custom_role   BLOB    NOT NULL,
	declared      INTEGER NOT NULL, -- of the configuration
	created_at    INTEGER NOT NULL,
	updated_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
