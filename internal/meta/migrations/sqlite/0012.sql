-- Whether images were pushed to a cached repository: no upstream has those.
ALTER TABLE repositories ADD COLUMN pushed INTEGER NOT NULL DEFAULT FALSE;

-- Nobody noted it until now. A push may have been to whatever a rule that takes pushes is
-- over, also where a longer prefix took its place since, and to what no rule is over any more.
UPDATE repositories SET pushed = TRUE WHERE kind = 'cached' AND (
	EXISTS (
		SELECT 1 FROM rules r WHERE r.push
			AND (r.prefix = 'ROOT' OR substr(repositories.name, 1, length(r.prefix) + 1) = r.prefix || '/'))
	OR NOT EXISTS (
		SELECT 1 FROM rules r
		WHERE r.prefix = 'ROOT' OR substr(repositories.name, 1, length(r.prefix) + 1) = r.prefix || '/'));
