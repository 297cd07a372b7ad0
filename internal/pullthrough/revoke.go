package pullthrough

import "context"

// Revoke takes the blobs that are on their way in from a repository that is about to be
// deleted, so that none of them makes it anew by coming to its end: their readers go on, and
// the repository gets no link. It returns when what is just being linked is linked, and
// goes with the rest. Who asks for a blob after it asks for another repository of the name.
// Errors: the context's.
func (c *Cache) Revoke(ctx context.Context, repo string) error {
	c.mu.Lock()
	var linking []<-chan struct{}
	for _, in := range c.ingests {
		in.revoke(repo)
	}
	for in, done := range c.linking {
		if in.revoke(repo) {
			linking = append(linking, done)
		}
	}
	c.mu.Unlock()
	for _, done := range linking {
		select {
		case <-done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// revoke takes back what grant gave, and says whether it had been given.
func (in *ingest) revoke(repo string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	_, had := in.repos[repo]
	delete(in.repos, repo)
	return had
}

// link has Revoke wait for what f links.
func (in *ingest) link(f func()) {
	done := make(chan struct{})
	in.c.mu.Lock()
	in.c.linking[in] = done
	in.c.mu.Unlock()
	defer func() {
		in.c.mu.Lock()
		delete(in.c.linking, in)
		in.c.mu.Unlock()
		close(done)
	}()
	f()
}
