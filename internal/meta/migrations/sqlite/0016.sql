-- What clients were given and upstreams sent, in each hour and by rule; '' is no rule.
CREATE TABLE traffic (
	hour           INTEGER NOT NULL, -- when it begins
	prefix         TEXT    NOT NULL,
	pulls          INTEGER NOT NULL,
	hits           INTEGER NOT NULL, -- pulls of what was held
	bytes          INTEGER NOT NULL, -- that clients were given
	hit_bytes      INTEGER NOT NULL, -- of what was held
	upstream_bytes INTEGER NOT NULL, -- that upstreams sent
	PRIMARY KEY (hour, prefix)
) STRICT, WITHOUT ROWID;
