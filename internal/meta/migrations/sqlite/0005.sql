-- What upstreams said that there is about a manifest. With a rowid: rows are large.
CREATE TABLE referrers (
	repository TEXT    NOT NULL,
	subject    TEXT    NOT NULL,
	list       BLOB    NOT NULL, -- JSON
	checked_at INTEGER NOT NULL,
	PRIMARY KEY (repository, subject)
) STRICT;
