-- Who may do what to a repository, and to all of them, beside the policies of users.

ALTER TABLE repositories ADD COLUMN policy BLOB NOT NULL DEFAULT x''; -- JSON as it was put; empty: none
ALTER TABLE templates ADD COLUMN repository_policy BLOB NOT NULL DEFAULT x''; -- of the repositories; empty: none

CREATE TABLE registry_policy (
	one      INTEGER PRIMARY KEY CHECK (one = 1), -- there is one registry
	document BLOB    NOT NULL
) STRICT;
