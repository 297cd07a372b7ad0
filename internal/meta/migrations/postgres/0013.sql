-- Images that somebody counted on last at a time, without a pull: they were pushed again, or
-- given or told where that is no pull. Not in manifests, behind whose bytes it would be.
CREATE TABLE needed (
	repository TEXT COLLATE "C" NOT NULL,
	digest     TEXT COLLATE "C" NOT NULL,
	at         BIGINT NOT NULL,
	PRIMARY KEY (repository, digest),
	FOREIGN KEY (repository, digest) REFERENCES manifests (repository, digest)
);
