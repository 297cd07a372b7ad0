-- The control plane. What people write without a grammar is BLOB.

CREATE TABLE rules (
	prefix          TEXT    NOT NULL PRIMARY KEY,
	kind            TEXT    NOT NULL,
	upstream        TEXT    NOT NULL,
	upstream_prefix TEXT    NOT NULL, -- '': none was given
	credential      BLOB    NOT NULL, -- a name of the configuration's, or a secret's ARN; empty: none
	custom_role     BLOB    NOT NULL,
	window_ns       INTEGER NOT NULL, -- -1: never over
	fixed           BLOB    NOT NULL, -- JSON list of patterns
	held_only       INTEGER NOT NULL,
	prefetch        TEXT    NOT NULL,
	verify_ranges   INTEGER NOT NULL,
	declared        INTEGER NOT NULL, -- of the configuration
	created_at      INTEGER NOT NULL,
	updated_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
	name        TEXT    NOT NULL PRIMARY KEY,
	suffix      TEXT    NOT NULL, -- the six characters at the end of the ARN
	description BLOB    NOT NULL,
	tags        BLOB    NOT NULL, -- JSON
	created_at  INTEGER NOT NULL,
	changed_at  INTEGER NOT NULL,
	accessed_at INTEGER NOT NULL,
	deleted_at  INTEGER NOT NULL, -- when it was marked for deletion
	delete_at   INTEGER NOT NULL  -- when it is to go
) STRICT, WITHOUT ROWID;

CREATE INDEX secrets_delete_at ON secrets (delete_at);

-- With a rowid: rows are large.
CREATE TABLE secret_versions (
	name       TEXT    NOT NULL REFERENCES secrets (name),
	id         TEXT    NOT NULL,
	n          INTEGER NOT NULL, -- 1, 2, ... for each secret: no clock decides the order
	stages     TEXT    NOT NULL, -- words with a space between them
	is_binary  INTEGER NOT NULL,
	sealed     BLOB    NOT NULL,
	created_at INTEGER NOT NULL,
	PRIMARY KEY (name, n),
	UNIQUE (name, id)
) STRICT;

CREATE TABLE users (
	name       TEXT    NOT NULL PRIMARY KEY,
	created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE user_policies (
	user_name TEXT NOT NULL REFERENCES users (name),
	name      TEXT NOT NULL,
	document  BLOB NOT NULL, -- empty for a managed policy
	PRIMARY KEY (user_name, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX access_keys_principal ON access_keys (principal);
