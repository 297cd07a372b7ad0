-- Who may do what to a repository, and to all of them, beside the policies of users.

ALTER TABLE repositories ADD COLUMN policy BYTEA NOT NULL DEFAULT ''; -- JSON as it was put; empty: none
ALTER TABLE templates ADD COLUMN repository_policy BYTEA NOT NULL DEFAULT ''; -- of the repositories; empty: none

CREATE TABLE registry_policy (
	one      BIGINT PRIMARY KEY CHECK (one = 1), -- there is one registry
	document BYTEA  NOT NULL
);
