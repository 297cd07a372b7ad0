-- What upstreams said that there is about a manifest.
CREATE TABLE referrers (
	repository TEXT COLLATE "C" NOT NULL,
	subject    TEXT COLLATE "C" NOT NULL,
	list       BYTEA  NOT NULL, -- JSON
	checked_at BIGINT NOT NULL,
	PRIMARY KEY (repository, subject)
);
