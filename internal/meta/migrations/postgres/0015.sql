-- Images that an index named which weir removed by itself, because a tag had left it.
CREATE TABLE released (
	repository TEXT COLLATE "C" NOT NULL,
	digest     TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (repository, digest),
	FOREIGN KEY (repository, digest) REFERENCES manifests (repository, digest)
);
