-- Counts up with whatever a rule that counts images may go by: an image that comes, goes, or
-- moves between the archive and outside, a tag that is another's. Only while the repository
-- has a lifecycle policy; a policy that is put counts too.
ALTER TABLE repositories ADD COLUMN changes BIGINT NOT NULL DEFAULT 0;

DROP INDEX tag_history_moved_at;
