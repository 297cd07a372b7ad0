package console

import (
	"net/http"

	"github.com/weir-registry/weir/internal/iam"
)

// menu is the console's sections, in their order.
var menu = []section{
	{Path: Path, Name: "Overview"},
	{Path: repositoriesPath, Name: "Repositories"},
	{Path: rulesPath, Name: "Pull through cache rules", Action: "ecr:DescribePullThroughCacheRules"},
	{Path: secretsPath, Name: "Secrets", Action: "secretsmanager:ListSecrets"},
	{Path: templatesPath, Name: "Repository creation templates", Action: "ecr:DescribeRepositoryCreationTemplates"},
	{Path: policyPath, Name: "Registry policy", Action: iam.GetRegistryPolicy},
	{Path: replicationPath, Name: "Replication", Action: "ecr:DescribeRegistry"},
	{Path: usersPath, Name: "Users", Action: "iam:ListUsers"},
	{Path: settingsPath, Name: "Settings"},
}

func (v *visit) overview() error {
	return v.show(http.StatusOK, "overview", &Page{Title: v.T("Overview"), Section: Path})
}
