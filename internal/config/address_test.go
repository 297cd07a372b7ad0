package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/config"
)

func TestAddresses(t *testing.T) {
	for _, tt := range []struct {
		name      string
		listeners config.Listeners
		want      []config.Address
	}{
		{"one for all", config.Listeners{}, []config.Address{
			{Key: "listen", Address: ":1", API: true, Registry: true, Metrics: true},
		}},
		{"metrics apart", config.Listeners{Metrics: ":2"}, []config.Address{
			{Key: "listen", Address: ":1", API: true, Registry: true},
			{Key: "listeners.metrics", Address: ":2", Metrics: true, Plain: true},
		}},
		{"nothing left", config.Listeners{API: ":2", Registry: ":3", Metrics: ":4"}, []config.Address{
			{Key: "listeners.api", Address: ":2", API: true},
			{Key: "listeners.registry", Address: ":3", Registry: true},
			{Key: "listeners.metrics", Address: ":4", Metrics: true, Plain: true},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &config.Config{Listen: ":1", Listeners: tt.listeners}
			if diff := cmp.Diff(tt.want, c.Addresses()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
