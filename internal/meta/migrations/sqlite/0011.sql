-- A repository's uploads, which end with it.
CREATE INDEX uploads_repository ON uploads (repository, id);
