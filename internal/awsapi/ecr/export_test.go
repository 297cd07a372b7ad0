package ecr

import (
	"encoding/json"
	"maps"
	"slices"
)

// Lift takes a long member out of an input, and returns what is left of it, checked, and
// the member, decoded; there: it was there.
func Lift(body []byte, input, member string) (rest, long []byte, there bool, problems []string, err error) {
	rest, l, err := lift(body, input, member)
	if err != nil {
		return nil, nil, false, nil, err
	}
	if rest, problems, err = check(input, rest, false); err != nil || l == nil {
		return rest, nil, false, problems, err
	}
	problems = append(problems, l.problems()...)
	return rest, append(l.data, l.value...), true, problems, nil
}

// NewScripted is Service with anything that answers.
var NewScripted = newService

// Built returns the names of the operations that are built, in order.
func Built() []string { return slices.Sorted(maps.Keys((&service{}).built())) }

// Check is check for the input of an operation.
func Check(op string, body []byte, strict bool) (checked []byte, problems []string, err error) {
	return check(operations[op].input, body, strict)
}

// Decoded reads what was checked as its operation does, and returns it as JSON again.
func Decoded(op string, checked []byte) ([]byte, error) { return inputs[op](checked) }

func decoded[In any](checked []byte) ([]byte, error) {
	var in In
	if err := json.Unmarshal(checked, &in); err != nil {
		return nil, err
	}
	return json.Marshal(in)
}

// inputs are what operations decode to.
var inputs = map[string]func(checked []byte) ([]byte, error){
	"BatchCheckLayerAvailability":             decoded[BatchCheckLayerAvailabilityRequest],
	"BatchDeleteImage":                        decoded[BatchDeleteImageRequest],
	"BatchGetImage":                           decoded[BatchGetImageRequest],
	"BatchGetRepositoryScanningConfiguration": decoded[BatchGetRepositoryScanningConfigurationRequest],
	"CompleteLayerUpload":                     decoded[CompleteLayerUploadRequest],
	"CreatePullThroughCacheRule":              decoded[CreatePullThroughCacheRuleRequest],
	"CreateRepository":                        decoded[CreateRepositoryRequest],
	"CreateRepositoryCreationTemplate":        decoded[CreateRepositoryCreationTemplateRequest],
	"DeleteLifecyclePolicy":                   decoded[DeleteLifecyclePolicyRequest],
	"DeletePullThroughCacheRule":              decoded[DeletePullThroughCacheRuleRequest],
	"DeleteRegistryPolicy":                    decoded[DeleteRegistryPolicyRequest],
	"DeleteRepository":                        decoded[DeleteRepositoryRequest],
	"DeleteRepositoryCreationTemplate":        decoded[DeleteRepositoryCreationTemplateRequest],
	"DeleteRepositoryPolicy":                  decoded[DeleteRepositoryPolicyRequest],
	"DeleteSigningConfiguration":              decoded[DeleteSigningConfigurationRequest],
	"DeregisterPullTimeUpdateExclusion":       decoded[DeregisterPullTimeUpdateExclusionRequest],
	"DescribeImageReplicationStatus":          decoded[DescribeImageReplicationStatusRequest],
	"DescribeImageScanFindings":               decoded[DescribeImageScanFindingsRequest],
	"DescribeImageSigningStatus":              decoded[DescribeImageSigningStatusRequest],
	"DescribeImages":                          decoded[DescribeImagesRequest],
	"DescribePullThroughCacheRules":           decoded[DescribePullThroughCacheRulesRequest],
	"DescribeRegistry":                        decoded[DescribeRegistryRequest],
	"DescribeRepositories":                    decoded[DescribeRepositoriesRequest],
	"DescribeRepositoryCreationTemplates":     decoded[DescribeRepositoryCreationTemplatesRequest],
	"GetAccountSetting":                       decoded[GetAccountSettingRequest],
	"GetAuthorizationToken":                   decoded[GetAuthorizationTokenRequest],
	"GetDownloadUrlForLayer":                  decoded[GetDownloadUrlForLayerRequest],
	"GetLifecyclePolicy":                      decoded[GetLifecyclePolicyRequest],
	"GetLifecyclePolicyPreview":               decoded[GetLifecyclePolicyPreviewRequest],
	"GetRegistryPolicy":                       decoded[GetRegistryPolicyRequest],
	"GetRegistryScanningConfiguration":        decoded[GetRegistryScanningConfigurationRequest],
	"GetRepositoryPolicy":                     decoded[GetRepositoryPolicyRequest],
	"GetSigningConfiguration":                 decoded[GetSigningConfigurationRequest],
	"InitiateLayerUpload":                     decoded[InitiateLayerUploadRequest],
	"ListImageReferrers":                      decoded[ListImageReferrersRequest],
	"ListImages":                              decoded[ListImagesRequest],
	"ListPullTimeUpdateExclusions":            decoded[ListPullTimeUpdateExclusionsRequest],
	"ListTagsForResource":                     decoded[ListTagsForResourceRequest],
	"PutAccountSetting":                       decoded[PutAccountSettingRequest],
	"PutImage":                                decoded[PutImageRequest],
	"PutImageScanningConfiguration":           decoded[PutImageScanningConfigurationRequest],
	"PutImageTagMutability":                   decoded[PutImageTagMutabilityRequest],
	"PutLifecyclePolicy":                      decoded[PutLifecyclePolicyRequest],
	"PutRegistryPolicy":                       decoded[PutRegistryPolicyRequest],
	"PutRegistryScanningConfiguration":        decoded[PutRegistryScanningConfigurationRequest],
	"PutReplicationConfiguration":             decoded[PutReplicationConfigurationRequest],
	"PutSigningConfiguration":                 decoded[PutSigningConfigurationRequest],
	"RegisterPullTimeUpdateExclusion":         decoded[RegisterPullTimeUpdateExclusionRequest],
	"SetRepositoryPolicy":                     decoded[SetRepositoryPolicyRequest],
	"StartImageScan":                          decoded[StartImageScanRequest],
	"StartLifecyclePolicyPreview":             decoded[StartLifecyclePolicyPreviewRequest],
	"TagResource":                             decoded[TagResourceRequest],
	"UntagResource":                           decoded[UntagResourceRequest],
	"UpdateImageStorageClass":                 decoded[UpdateImageStorageClassRequest],
	"UpdatePullThroughCacheRule":              decoded[UpdatePullThroughCacheRuleRequest],
	"UpdateRepositoryCreationTemplate":        decoded[UpdateRepositoryCreationTemplateRequest],
	"UploadLayerPart":                         decoded[UploadLayerPartRequest],
	"ValidatePullThroughCacheRule":            decoded[ValidatePullThroughCacheRuleRequest],
}

// ReadPart reads the input of UploadLayerPart with member lifted
// out of it first, or nothing.
func ReadPart(body []byte, input, member string) error {
	rest, _, err := lift(body, input, member)
	if err == nil {
		rest, _, err = check(input, rest, false)
	}
	var in UploadLayerPartRequest
	if err == nil {
		err = json.Unmarshal(rest, &in)
	}
	return err
}
