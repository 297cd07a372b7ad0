-- What clients were given and upstreams sent, in each hour and by rule; '' is no rule.
CREATE TABLE traffic (
	hour           BIGINT NOT NULL, -- when it begins
	prefix         TEXT   COLLATE "C" NOT NULL,
	pulls          BIGINT NOT NULL,
	hits           BIGINT NOT NULL, -- pulls of what was held
	bytes          BIGINT NOT NULL, -- that clients were given
	hit_bytes      BIGINT NOT NULL, -- of what was held
	upstream_bytes BIGINT NOT NULL, -- that upstreams sent
	PRIMARY KEY (hour, prefix)
);
