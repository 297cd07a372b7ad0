package ecr

import (
	"context"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

// templateFailures are the names that failures have here and not in other services.
var templateFailures = map[errs.Code]string{errs.Conflict: "ValidationException"} // it is the configuration's

func (s *service) template(t *rule.Template) *RepositoryCreationTemplate {
	return &RepositoryCreationTemplate{
		Prefix:                             t.Prefix,
		AppliedFor:                         t.AppliedFor,
		Description:                        t.Description,
		EncryptionConfiguration:            &EncryptionConfigurationForRepositoryCreationTemplate{EncryptionType: "AES256"},
		ImageTagMutability:                 t.Mutability,
		ImageTagMutabilityExclusionFilters: filtersOf(t.Exclusions),
		ResourceTags:                       tagsOf(t.Tags),
		CustomRoleArn:                      t.CustomRole,
		RepositoryPolicy:                   t.RepositoryPolicy,
		LifecyclePolicy:                    t.LifecyclePolicy,
		CreatedAt:                          awsapi.Time{Time: t.Created},
		UpdatedAt:                          awsapi.Time{Time: t.Updated},
	}
}

func (s *service) createTemplate(ctx context.Context, c *awsapi.Call, in CreateRepositoryCreationTemplateRequest) (*CreateRepositoryCreationTemplateResponse, error) {
	t, err := s.rules.CreateTemplate(ctx, c.Caller, templateInput(templateUpdate{
		UpdateRepositoryCreationTemplateRequest: UpdateRepositoryCreationTemplateRequest(in), Description: &in.Description, CustomRoleArn: &in.CustomRoleArn,
		RepositoryPolicy: &in.RepositoryPolicy,
		LifecyclePolicy:  &in.LifecyclePolicy,
	}))
	if err != nil {
		return nil, err
	}
	return &CreateRepositoryCreationTemplateResponse{RegistryId: s.id, RepositoryCreationTemplate: s.template(t)}, nil
}

// templateUpdate tells a member that is empty from one that is not there.
type templateUpdate struct {
	UpdateRepositoryCreationTemplateRequest
	Description      *string `json:"description"`
	CustomRoleArn    *string `json:"customRoleArn"`
	RepositoryPolicy *string `json:"repositoryPolicy"`
	LifecyclePolicy  *string `json:"lifecyclePolicy"`
}

func templateInput(in templateUpdate) admin.TemplateInput {
	t := admin.TemplateInput{
		Prefix:           in.Prefix,
		AppliedFor:       in.AppliedFor,
		Description:      in.Description,
		Mutability:       in.ImageTagMutability,
		Exclusions:       exclusions(in.ImageTagMutabilityExclusionFilters),
		Tags:             resourceTags(in.ResourceTags),
		CustomRole:       in.CustomRoleArn,
		RepositoryPolicy: in.RepositoryPolicy,
		LifecyclePolicy:  in.LifecyclePolicy,
	}
	if in.EncryptionConfiguration != nil {
		t.EncryptionType = in.EncryptionConfiguration.EncryptionType
	}
	return t
}

func (s *service) describeTemplates(ctx context.Context, c *awsapi.Call, in DescribeRepositoryCreationTemplatesRequest) (*DescribeRepositoryCreationTemplatesResponse, error) {
	const op = "DescribeRepositoryCreationTemplates"
	filter := in
	filter.NextToken, filter.MaxResults = "", nil
	after, limit, err := s.pageOf(op, filter, in.NextToken, in.MaxResults)
	if err == nil && len(in.Prefixes) > 0 {
		err = pagedNames("prefixes", in.NextToken, in.MaxResults)
	}
	if err != nil {
		return nil, err
	}
	templates, next, err := s.rules.Templates(ctx, c.Caller, in.Prefixes, after, limit)
	if err != nil {
		return nil, err
	}
	out := &DescribeRepositoryCreationTemplatesResponse{RegistryId: s.id, RepositoryCreationTemplates: []RepositoryCreationTemplate{}}
	for _, t := range templates {
		out.RepositoryCreationTemplates = append(out.RepositoryCreationTemplates, *s.template(t))
	}
	out.NextToken, err = s.token(op, filter, next)
	return out, err
}

func (s *service) updateTemplate(ctx context.Context, c *awsapi.Call, in templateUpdate) (*UpdateRepositoryCreationTemplateResponse, error) {
	t, err := s.rules.UpdateTemplate(ctx, c.Caller, templateInput(in))
	if err != nil {
		return nil, err
	}
	return &UpdateRepositoryCreationTemplateResponse{RegistryId: s.id, RepositoryCreationTemplate: s.template(t)}, nil
}

func (s *service) deleteTemplate(ctx context.Context, c *awsapi.Call, in DeleteRepositoryCreationTemplateRequest) (*DeleteRepositoryCreationTemplateResponse, error) {
	t, err := s.rules.DeleteTemplate(ctx, c.Caller, in.Prefix)
	if err != nil {
		return nil, err
	}
	return &DeleteRepositoryCreationTemplateResponse{RegistryId: s.id, RepositoryCreationTemplate: s.template(t)}, nil
}
