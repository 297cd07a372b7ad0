package rule

// Account names whose rights the upstream is asked with: "" are anybody's. Two rules
// with one upstream and one account may have the same bytes of it.
func (r *Rule) Account() string {
	if r.Kind == ECR && r.Credential == "" {
		return "aws " + r.CustomRole // an ECR of Amazon's is asked by nobody without a login
	}
	return r.Credential
}
