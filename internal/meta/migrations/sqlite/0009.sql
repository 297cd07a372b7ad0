-- What ECR's layer uploads ask of an upload's parts, beside their bytes: how many came, how
-- long the last is, and how many before it were too short.
ALTER TABLE uploads ADD COLUMN parts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN last_part INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN short_parts INTEGER NOT NULL DEFAULT 0;
