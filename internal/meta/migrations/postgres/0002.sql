-- The control plane. What people write without a grammar is BYTEA.

CREATE TABLE rules (
	prefix          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	kind            TEXT COLLATE "C" NOT NULL,
	upstream        TEXT COLLATE "C" NOT NULL,
	upstream_prefix TEXT COLLATE "C" NOT NULL, -- '': none was given
	credential      BYTEA   NOT NULL, -- a name of the configuration's, or a secret's ARN; empty: none
	custom_role     BYTEA   NOT NULL,
	window_ns       BIGINT  NOT NULL, -- -1: never over
	fixed           BYTEA   NOT NULL, -- JSON list of patterns
	held_only       BOOLEAN NOT NULL,
	prefetch        TEXT COLLATE "C" NOT NULL,
	verify_ranges   BOOLEAN NOT NULL,
	declared        BOOLEAN NOT NULL, -- of the configuration
	created_at      BIGINT  NOT NULL,
	updated_at      BIGINT  NOT NULL
);

CREATE TABLE secrets (
	name        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	suffix      TEXT COLLATE "C" NOT NULL, -- the six characters at the end of the ARN
	description BYTEA   NOT NULL,
	tags        BYTEA   NOT NULL, -- JSON
	created_at  BIGINT  NOT NULL,
	changed_at  BIGINT  NOT NULL,
	accessed_at BIGINT  NOT NULL,
	deleted_at  BIGINT  NOT NULL, -- when it was marked for deletion
	delete_at   BIGINT  NOT NULL  -- when it is to go
);

CREATE INDEX secrets_delete_at ON secrets (delete_at);

CREATE TABLE secret_versions (
	name       TEXT COLLATE "C" NOT NULL REFERENCES secrets (name),
	id         TEXT COLLATE "C" NOT NULL,
	n          BIGINT  NOT NULL, -- 1, 2, ... for each secret: no clock decides the order
	stages     TEXT COLLATE "C" NOT NULL, -- words with a space between them
	is_binary  BOOLEAN NOT NULL,
	sealed     BYTEA   NOT NULL,
	created_at BIGINT  NOT NULL,
	PRIMARY KEY (name, n),
	UNIQUE (name, id)
);

CREATE TABLE users (
	name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	created_at BIGINT  NOT NULL
);

CREATE TABLE user_policies (
	user_name TEXT COLLATE "C" NOT NULL REFERENCES users (name),
	name      TEXT COLLATE "C" NOT NULL,
	document  BYTEA   NOT NULL, -- empty for a managed policy
	PRIMARY KEY (user_name, name)
);

CREATE INDEX access_keys_principal ON access_keys (principal);
