package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// step is one command of the CLI and what comes of it. $NAME in both is a value of
// the run: of a file, of an image, or what an earlier step kept.
type step struct {
	args string // words with a space between them
	// want is JSON of which all members have to be in what is printed; "*" is any
	// value. "!NAME" is that error. "": nothing is printed.
	want string
	keep string // a member of what is printed, for later steps
}

// The steps have every operation of ECR's API, most of them in the order in which
// somebody would come to them.
var everyStep = []step{
	{args: "get-authorization-token", want: `{"authorizationData":[{"authorizationToken":"*","expiresAt":"*","proxyEndpoint":"https://$ID.dkr.ecr.us-east-1.amazonaws.com"}]}`},

	// Repositories.
	{args: "create-repository --repository-name own/app --tags Key=team,Value=a --image-scanning-configuration scanOnPush=true",
		want: `{"repository":{"repositoryArn":"$ARN","registryId":"$ID","repositoryName":"own/app","repositoryUri":"*","createdAt":"*","imageTagMutability":"MUTABLE",` +
			`"imageScanningConfiguration":{"scanOnPush":true},"encryptionConfiguration":{"encryptionType":"AES256"}}}`},
	{args: "create-repository --repository-name own/app", want: "!RepositoryAlreadyExistsException"},
	{args: "create-repository --repository-name own/kms --encryption-configuration encryptionType=KMS", want: "!InvalidParameterException"},
	{args: "describe-repositories --repository-names own/app", want: `{"repositories":[{"repositoryName":"own/app","repositoryArn":"$ARN"}]}`},
	{args: "put-image-tag-mutability --repository-name own/app --image-tag-mutability IMMUTABLE", want: `{"registryId":"$ID","repositoryName":"own/app","imageTagMutability":"IMMUTABLE"}`},
	{args: "put-image-scanning-configuration --repository-name own/app --image-scanning-configuration scanOnPush=false",
		want: `{"registryId":"$ID","repositoryName":"own/app","imageScanningConfiguration":{"scanOnPush":false}}`},
	{args: "tag-resource --resource-arn $ARN --tags Key=cost,Value=7"},
	{args: "untag-resource --resource-arn $ARN --tag-keys team"},
	{args: "list-tags-for-resource --resource-arn $ARN", want: `{"tags":[{"Key":"cost","Value":"7"}]}`},
	{args: "get-repository-policy --repository-name own/app", want: "!RepositoryPolicyNotFoundException"},
	{args: "set-repository-policy --repository-name own/app --policy-text $POLICY", want: `{"registryId":"$ID","repositoryName":"own/app","policyText":"*"}`},
	{args: "get-repository-policy --repository-name own/app", want: `{"registryId":"$ID","repositoryName":"own/app","policyText":"*"}`},
	{args: "delete-repository-policy --repository-name own/app", want: `{"registryId":"$ID","repositoryName":"own/app","policyText":"*"}`},

	// A push by the API alone, and what became of it.
	{args: "batch-check-layer-availability --repository-name own/app --layer-digests $LAYER", want: `{"layers":[{"layerDigest":"$LAYER","layerAvailability":"UNAVAILABLE"}],"failures":[]}`},
	{args: "put-image --repository-name own/app --image-tag v1 --image-manifest file://$DIR/manifest.json", want: "!LayersNotFoundException"},
	{args: "initiate-layer-upload --repository-name own/app", want: `{"uploadId":"*","partSize":20971520}`, keep: "uploadId"},
	{args: "upload-layer-part --repository-name own/app --upload-id $uploadId --part-first-byte 0 --part-last-byte 11 --layer-part-blob fileb://$DIR/layer",
		want: `{"registryId":"$ID","repositoryName":"own/app","uploadId":"$uploadId","lastByteReceived":11}`},
	{args: "complete-layer-upload --repository-name own/app --upload-id $uploadId --layer-digests $CONFIG", want: "!InvalidLayerException"},
	{args: "initiate-layer-upload --repository-name own/app", want: `{"uploadId":"*"}`, keep: "uploadId"},
	{args: "upload-layer-part --repository-name own/app --upload-id $uploadId --part-first-byte 0 --part-last-byte 11 --layer-part-blob fileb://$DIR/layer", want: `{"lastByteReceived":11}`},
	{args: "complete-layer-upload --repository-name own/app --upload-id $uploadId --layer-digests $LAYER", want: `{"registryId":"$ID","repositoryName":"own/app","uploadId":"$uploadId","layerDigest":"$LAYER"}`},
	{args: "initiate-layer-upload --repository-name own/app", want: `{"uploadId":"*"}`, keep: "uploadId"},
	{args: "upload-layer-part --repository-name own/app --upload-id $uploadId --part-first-byte 0 --part-last-byte 1 --layer-part-blob fileb://$DIR/config", want: `{"lastByteReceived":1}`},
	{args: "complete-layer-upload --repository-name own/app --upload-id $uploadId --layer-digests $CONFIG", want: `{"layerDigest":"$CONFIG"}`},
	{args: "put-image --repository-name own/app --image-tag v1 --image-manifest file://$DIR/manifest.json",
		want: `{"image":{"registryId":"$ID","repositoryName":"own/app","imageId":{"imageDigest":"$IMAGE","imageTag":"v1"},"imageManifest":"*","imageManifestMediaType":"application/vnd.oci.image.manifest.v1+json"}}`},
	{args: "put-image --repository-name own/app --image-tag v1 --image-manifest file://$DIR/manifest.json", want: "!ImageAlreadyExistsException"},
	{args: "get-download-url-for-layer --repository-name own/app --layer-digest $LAYER", want: `{"downloadUrl":"*","layerDigest":"$LAYER"}`, keep: "downloadUrl"},
	{args: "batch-get-image --repository-name own/app --image-ids imageTag=v1 imageTag=v2",
		want: `{"images":[{"registryId":"$ID","repositoryName":"own/app","imageId":{"imageDigest":"$IMAGE","imageTag":"v1"},"imageManifest":"*"}],"failures":[{"imageId":{"imageTag":"v2"},"failureCode":"ImageNotFound","failureReason":"*"}]}`},
	{args: "list-images --repository-name own/app", want: `{"imageIds":[{"imageDigest":"$IMAGE","imageTag":"v1"}]}`},
	{args: "describe-images --repository-name own/app", want: `{"imageDetails":[{"registryId":"$ID","repositoryName":"own/app","imageDigest":"$IMAGE","imageTags":["v1"],"imageSizeInBytes":14,"imagePushedAt":"*","imageStatus":"ACTIVE"}]}`},
	{args: "describe-images --repository-name own/app --image-ids imageTag=v2", want: "!ImageNotFoundException"},
	{args: "list-image-referrers --repository-name own/app --subject-id imageDigest=$IMAGE", want: `{"referrers":[]}`},
	{args: "start-image-scan --repository-name own/app --image-id imageTag=v1", want: "!UnsupportedImageTypeException"},
	{args: "describe-image-scan-findings --repository-name own/app --image-id imageTag=v1", want: "!ScanNotFoundException"},
	{args: "wait image-scan-complete --repository-name own/app --image-id imageTag=v1", want: "!Waiter ImageScanComplete failed: An error occurred (ScanNotFoundException)"},
	{args: "describe-image-signing-status --repository-name own/app --image-id imageTag=v1", want: `{"registryId":"$ID","repositoryName":"own/app","imageId":{"imageDigest":"$IMAGE"},"signingStatuses":[]}`},
	{args: "describe-image-replication-status --repository-name own/app --image-id imageTag=v1", want: `{"repositoryName":"own/app","imageId":{"imageTag":"v1"},"replicationStatuses":[]}`},
	{args: "update-image-storage-class --repository-name own/app --image-id imageTag=v1 --target-storage-class ARCHIVE", want: `{"registryId":"$ID","repositoryName":"own/app","imageStatus":"ARCHIVED"}`},
	{args: "list-images --repository-name own/app", want: `{"imageIds":[]}`},
	{args: "update-image-storage-class --repository-name own/app --image-id imageDigest=$IMAGE --target-storage-class STANDARD", want: `{"registryId":"$ID","repositoryName":"own/app","imageStatus":"*"}`},

	// Its lifecycle.
	{args: "get-lifecycle-policy --repository-name own/app", want: "!LifecyclePolicyNotFoundException"},
	{args: "put-lifecycle-policy --repository-name own/app --lifecycle-policy-text file://$DIR/lifecycle.json", want: `{"registryId":"$ID","repositoryName":"own/app","lifecyclePolicyText":"*"}`},
	{args: "get-lifecycle-policy --repository-name own/app", want: `{"registryId":"$ID","repositoryName":"own/app","lifecyclePolicyText":"*"}`},
	{args: "get-lifecycle-policy-preview --repository-name own/app", want: "!LifecyclePolicyPreviewNotFoundException"},
	{args: "start-lifecycle-policy-preview --repository-name own/app", want: `{"registryId":"$ID","repositoryName":"own/app","lifecyclePolicyText":"*","status":"*"}`},
	{args: "wait lifecycle-policy-preview-complete --repository-name own/app"},
	{args: "get-lifecycle-policy-preview --repository-name own/app", want: `{"registryId":"$ID","repositoryName":"own/app","lifecyclePolicyText":"*","status":"COMPLETE","previewResults":[],"summary":{"expiringImageTotalCount":0}}`},
	{args: "delete-lifecycle-policy --repository-name own/app", want: `{"registryId":"$ID","repositoryName":"own/app","lifecyclePolicyText":"*"}`},

	// Pull through cache rules and repository creation templates.
	{args: "create-pull-through-cache-rule --ecr-repository-prefix quay --upstream-registry-url quay.io", want: `{"ecrRepositoryPrefix":"quay","upstreamRegistryUrl":"quay.io","createdAt":"*","registryId":"$ID","upstreamRegistry":"quay"}`},
	{args: "update-pull-through-cache-rule --ecr-repository-prefix quay --custom-role-arn arn:aws:iam::$ID:role/r", want: `{"ecrRepositoryPrefix":"quay","updatedAt":"*","customRoleArn":"arn:aws:iam::$ID:role/r"}`},
	{args: "describe-pull-through-cache-rules --ecr-repository-prefixes quay", want: `{"pullThroughCacheRules":[{"ecrRepositoryPrefix":"quay","customRoleArn":"*","updatedAt":"*"}]}`},
	{args: "validate-pull-through-cache-rule --ecr-repository-prefix declared", want: `{"ecrRepositoryPrefix":"declared","isValid":false,"failure":"*"}`},
	{args: "delete-pull-through-cache-rule --ecr-repository-prefix quay", want: `{"ecrRepositoryPrefix":"quay","upstreamRegistryUrl":"quay.io","createdAt":"*"}`},
	{args: "create-repository-creation-template --prefix team --applied-for CREATE_ON_PUSH --repository-policy $POLICY --lifecycle-policy file://$DIR/lifecycle.json",
		want: `{"registryId":"$ID","repositoryCreationTemplate":{"prefix":"team","appliedFor":["CREATE_ON_PUSH"],"repositoryPolicy":"*","lifecyclePolicy":"*","createdAt":"*","updatedAt":"*"}}`},
	{args: "create-repository-creation-template --prefix team --applied-for CREATE_ON_PUSH", want: "!TemplateAlreadyExistsException"},
	{args: "update-repository-creation-template --prefix team --description text", want: `{"registryId":"$ID","repositoryCreationTemplate":{"prefix":"team","description":"text","repositoryPolicy":"*"}}`},
	{args: "describe-repository-creation-templates --prefixes team", want: `{"registryId":"$ID","repositoryCreationTemplates":[{"prefix":"team","description":"text"}]}`},
	{args: "delete-repository-creation-template --prefix team", want: `{"registryId":"$ID","repositoryCreationTemplate":{"prefix":"team"}}`},
	{args: "delete-repository-creation-template --prefix team", want: "!TemplateNotFoundException"},

	// The registry.
	{args: "put-replication-configuration --replication-configuration {\"rules\":[{\"destinations\":[{\"region\":\"nowhere-1\",\"registryId\":\"999999999999\"}]}]}", want: "!InvalidParameterException"},
	{args: "put-replication-configuration --replication-configuration {\"rules\":[]}", want: `{"replicationConfiguration":{"rules":[]}}`},
	{args: "describe-registry", want: `{"registryId":"$ID","replicationConfiguration":{"rules":[]}}`},
	{args: "get-registry-policy", want: "!RegistryPolicyNotFoundException"},
	{args: "put-registry-policy --policy-text $REGISTRYPOLICY", want: `{"registryId":"$ID","policyText":"*"}`},
	{args: "get-registry-policy", want: `{"registryId":"$ID","policyText":"*"}`},
	{args: "delete-registry-policy", want: `{"registryId":"$ID","policyText":"*"}`},
	{args: "put-registry-scanning-configuration --scan-type BASIC --rules [{\"scanFrequency\":\"SCAN_ON_PUSH\",\"repositoryFilters\":[{\"filter\":\"own/*\",\"filterType\":\"WILDCARD\"}]}]",
		want: `{"registryScanningConfiguration":{"scanType":"BASIC","rules":[{"scanFrequency":"SCAN_ON_PUSH","repositoryFilters":[{"filter":"own/*","filterType":"WILDCARD"}]}]}}`},
	{args: "get-registry-scanning-configuration", want: `{"registryId":"$ID","scanningConfiguration":{"scanType":"BASIC","rules":[{"scanFrequency":"SCAN_ON_PUSH"}]}}`},
	{args: "batch-get-repository-scanning-configuration --repository-names own/app", want: `{"scanningConfigurations":[{"repositoryArn":"$ARN","repositoryName":"own/app","scanFrequency":"SCAN_ON_PUSH"}],"failures":[]}`},
	{args: "put-account-setting --name BLOB_MOUNTING --value DISABLED", want: `{"name":"BLOB_MOUNTING","value":"DISABLED"}`},
	{args: "get-account-setting --name BLOB_MOUNTING", want: `{"name":"BLOB_MOUNTING","value":"DISABLED"}`},
	{args: "get-signing-configuration", want: "!SigningConfigurationNotFoundException"},
	{args: "put-signing-configuration --signing-configuration {\"rules\":[{\"signingProfileArn\":\"arn:aws:signer:us-east-1:$ID:/signing-profiles/ab\"}]}", want: `{"signingConfiguration":{"rules":[{"signingProfileArn":"*"}]}}`},
	{args: "get-signing-configuration", want: `{"registryId":"$ID","signingConfiguration":{"rules":[{"signingProfileArn":"*"}]}}`},
	{args: "delete-signing-configuration", want: `{"registryId":"$ID","signingConfiguration":{"rules":[{"signingProfileArn":"*"}]}}`},
	{args: "register-pull-time-update-exclusion --principal-arn arn:aws:iam::$ID:user/scanner", want: `{"principalArn":"arn:aws:iam::$ID:user/scanner","createdAt":"*"}`},
	{args: "list-pull-time-update-exclusions", want: `{"pullTimeUpdateExclusions":["arn:aws:iam::$ID:user/scanner"]}`},
	{args: "deregister-pull-time-update-exclusion --principal-arn arn:aws:iam::$ID:user/scanner", want: `{"principalArn":"arn:aws:iam::$ID:user/scanner"}`},
	{args: "deregister-pull-time-update-exclusion --principal-arn arn:aws:iam::$ID:user/scanner", want: "!ExclusionNotFoundException"},

	// All of it goes.
	{args: "delete-repository --repository-name own/app", want: "!RepositoryNotEmptyException"},
	{args: "batch-delete-image --repository-name own/app --image-ids imageTag=v1 imageTag=v2",
		want: `{"imageIds":[{"imageDigest":"$IMAGE","imageTag":"v1"}],"failures":[{"imageId":{"imageTag":"v2"},"failureCode":"ImageNotFound"}]}`},
	{args: "delete-repository --repository-name own/app", want: `{"repository":{"repositoryArn":"$ARN","repositoryName":"own/app"}}`},
	{args: "delete-repository --repository-name own/app", want: "!RepositoryNotFoundException"},
}

// TestEveryCommand calls every operation by the AWS CLI.
func TestEveryCommand(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	s := newEmptyServer(t, u)
	u.kill() // the rule of the configuration has none
	aws, vars := newAWS(t, s), everyValues(t)
	called := map[string]bool{}
	for _, st := range everyStep {
		args := []string{"ecr"}
		for _, word := range strings.Fields(st.args) {
			args = append(args, expand(word, vars))
		}
		called[operation(args)] = true
		out, err := aws.try(t, args...)
		name := strings.Join(args, " ")
		if exception, fails := strings.CutPrefix(st.want, "!"); fails {
			if !strings.Contains(exception, " ") {
				exception = "An error occurred (" + exception + ") when calling the " + operation(args) + " operation: "
			}
			if err == nil || !strings.Contains(out, exception) {
				t.Errorf("aws %s: %v, want %s\n%s", name, err, exception, out)
			}
			continue
		}
		if err != nil {
			t.Errorf("aws %s: %v\n%s", name, err, out)
			continue
		}
		got := map[string]any{}
		if st.want == "" && strings.TrimSpace(out) == "" {
			continue
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Errorf("aws %s printed no JSON: %v\n%s", name, err, out)
			continue
		}
		var want any
		if err := json.Unmarshal([]byte(expand(st.want, vars)), &want); err != nil {
			t.Fatalf("%s: %v", st.want, err)
		}
		if missing := lacks(want, got, ""); missing != "" {
			t.Errorf("aws %s: %s\n%s", name, missing, out)
		}
		if st.keep != "" {
			vars[st.keep], _ = got[st.keep].(string)
		}
	}
	resp, err := http.Get(vars["downloadUrl"])
	if err == nil {
		resp.Body.Close()
	}
	if err != nil || resp.StatusCode < 400 {
		t.Errorf("the URL of a layer that was deleted: %v, %v", resp, err)
	}
	everyOperation(t, called)
}

// everyOperation compares what was called with the API model.
func everyOperation(t *testing.T, called map[string]bool) {
	t.Helper()
	var model struct{ Operations map[string]any }
	text, err := os.ReadFile("../internal/awsapi/ecr/model/ecr-2015-09-21.json")
	if err == nil {
		err = json.Unmarshal(text, &model)
	}
	if err != nil || len(model.Operations) == 0 {
		t.Fatal(err)
	}
	for op := range model.Operations {
		if !called[op] {
			t.Errorf("no step calls %s", op)
		}
	}
}

// everyValues makes the files of an image and says what the steps' names are.
func everyValues(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	digest := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "sha256:" + hex.EncodeToString(sum[:])
	}
	const layer, config = "hello, layer", "{}"
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":%q,"size":%d}]}`, digest(config), len(config), digest(layer), len(layer))
	lifecycle := `{"rules":[{"rulePriority":1,"description":"old ones","selection":{"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":30},"action":{"type":"expire"}}]}`
	for name, text := range map[string]string{"layer": layer, "config": config, "manifest.json": manifest, "lifecycle.json": lifecycle} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return map[string]string{
		"ID": awsID, "ARN": "arn:aws:ecr:" + awsRegion + ":" + awsID + ":repository/own/app",
		"DIR": dir, "LAYER": digest(layer), "CONFIG": digest(config), "IMAGE": digest(manifest),
		"POLICY":         `{"Version":"2012-10-17","Statement":[{"Sid":"pull","Effect":"Allow","Principal":"*","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}]}`,
		"REGISTRYPOLICY": `{"Version":"2012-10-17","Statement":[{"Sid":"import","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + awsID + `:root"},"Action":["ecr:CreateRepository","ecr:BatchImportUpstreamImage"],"Resource":"arn:aws:ecr:` + awsRegion + `:` + awsID + `:repository/declared/*"}]}`,
	}
}

func expand(text string, vars map[string]string) string {
	return os.Expand(text, func(name string) string { return vars[name] })
}

// lacks says what of want is not in got, "" if all is.
func lacks(want, got any, at string) string {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		for k, v := range want {
			if ok && object[k] == nil {
				return fmt.Sprintf("no %s.%s", at, k)
			}
			if missing := lacks(v, object[k], at+"."+k); missing != "" {
				return missing
			}
		}
		if ok {
			return ""
		}
	case []any:
		list, ok := got.([]any)
		if ok && len(list) == len(want) {
			for i := range want {
				if missing := lacks(want[i], list[i], fmt.Sprintf("%s[%d]", at, i)); missing != "" {
					return missing
				}
			}
			return ""
		}
	default:
		if want == got || want == "*" && got != nil {
			return ""
		}
	}
	return fmt.Sprintf("%s is %v, want %v", at, got, want)
}

// Pages: whoever asks for all gets all, in as many requests as it takes.
func TestPages(t *testing.T) {
	t.Parallel()
	s := newEmptyServer(t, newUpstream(t))
	aws := newAWS(t, s)
	var want []string
	for i := range 5 {
		name := fmt.Sprintf("own/app%d", i)
		want = append(want, name)
		aws.text(t, "ecr", "create-repository", "--repository-name", name)
	}
	names := func(r repositories) (all []string) {
		for _, repo := range r.Repositories {
			all = append(all, repo.Name)
		}
		return all
	}
	before := strings.Count(s.p.output(), "action=ecr:DescribeRepositories ")
	var all repositories
	aws.ask(t, &all, "ecr", "describe-repositories", "--page-size", "2")
	if !slices.Equal(names(all), want) {
		t.Errorf("by pages of two: %v", names(all))
	}
	if n := strings.Count(s.p.output(), "action=ecr:DescribeRepositories ") - before; n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
	var part struct {
		repositories
		NextToken string
	}
	aws.ask(t, &part, "ecr", "describe-repositories", "--max-items", "3")
	if !slices.Equal(names(part.repositories), want[:3]) || part.NextToken == "" {
		t.Fatalf("the first three: %v, token %q", names(part.repositories), part.NextToken)
	}
	var rest repositories
	aws.ask(t, &rest, "ecr", "describe-repositories", "--starting-token", part.NextToken)
	if !slices.Equal(names(rest), want[3:]) {
		t.Errorf("the rest: %v", names(rest))
	}
}
