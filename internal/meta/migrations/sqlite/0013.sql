-- Images that somebody counted on last at a time, without a pull: they were pushed again, or
-- given or told where that is no pull. Not in manifests, behind whose bytes it would be.
CREATE TABLE needed (
	repository TEXT    NOT NULL,
	digest     TEXT    NOT NULL,
	at         INTEGER NOT NULL,
	PRIMARY KEY (repository, digest),
	FOREIGN KEY (repository, digest) REFERENCES manifests (repository, digest)
) STRICT, WITHOUT ROWID;
