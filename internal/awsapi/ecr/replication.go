package ecr

import (
	"context"

	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/rule"
)

// describeRegistry tells what is replicated.
func (s *service) describeRegistry(ctx context.Context, c *awsapi.Call, _ DescribeRegistryRequest) (*DescribeRegistryResponse, error) {
	rules, err := s.images.Describe(ctx, c.Caller)
	if err != nil {
		return nil, err
	}
	return &DescribeRegistryResponse{RegistryId: s.id, ReplicationConfiguration: replicationOf(rules)}, nil
}

func replicationOf(rules rule.Replication) *ReplicationConfiguration {
	out := &ReplicationConfiguration{Rules: []ReplicationRule{}}
	for _, r := range rules {
		one := ReplicationRule{Destinations: []ReplicationDestination{}}
		for _, d := range r.Destinations {
			one.Destinations = append(one.Destinations, ReplicationDestination{Region: d.Region, RegistryId: d.RegistryID})
		}
		for _, f := range r.Filters {
			one.RepositoryFilters = append(one.RepositoryFilters, RepositoryFilter{Filter: f, FilterType: "PREFIX_MATCH"})
		}
		out.Rules = append(out.Rules, one)
	}
	return out
}

func (s *service) putReplication(ctx context.Context, c *awsapi.Call, in PutReplicationConfigurationRequest) (*PutReplicationConfigurationResponse, error) {
	rules := rule.Replication{}
	for _, r := range in.ReplicationConfiguration.Rules {
		var one rule.ReplicationRule
		for _, d := range r.Destinations {
			one.Destinations = append(one.Destinations, rule.Destination{Region: d.Region, RegistryID: d.RegistryId})
		}
		for _, f := range r.RepositoryFilters {
			one.Filters = append(one.Filters, f.Filter)
		}
		rules = append(rules, one)
	}
	if err := s.rules.PutReplication(ctx, c.Caller, rules); err != nil {
		return nil, err
	}
	return &PutReplicationConfigurationResponse{ReplicationConfiguration: replicationOf(rules)}, nil
}

func (s *service) describeReplication(ctx context.Context, c *awsapi.Call, in DescribeImageReplicationStatusRequest) (*DescribeImageReplicationStatusResponse, error) {
	id, err := s.imageID(c, in.RepositoryName, in.RegistryId, in.ImageId)
	if err != nil {
		return nil, err
	}
	all, err := s.images.ReplicationStatus(ctx, c.Caller, in.RepositoryName, id)
	if err != nil {
		return nil, err
	}
	out := &DescribeImageReplicationStatusResponse{RepositoryName: in.RepositoryName, ImageId: in.ImageId, ReplicationStatuses: []ImageReplicationStatus{}}
	for _, one := range all {
		status := ImageReplicationStatus{Region: one.To.Region, RegistryId: one.To.RegistryID, Status: "COMPLETE"}
		switch {
		case one.Waiting:
			status.Status = "IN_PROGRESS"
		case one.Failure != "":
			status.Status, status.FailureCode = "FAILED", one.Failure
		}
		out.ReplicationStatuses = append(out.ReplicationStatuses, status)
	}
	return out, nil
}
