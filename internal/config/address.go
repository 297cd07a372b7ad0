package config

// Address is one address that weir listens on, and what is served there.
type Address struct {
	Key                    string // in the file: listen, or listeners.api, ...
	Address                string // host:port
	API, Registry, Metrics bool
	Plain                  bool // http without a key, whatever tls says
}

// Addresses returns where weir listens: the listeners with an address of their own,
// and `listen` first if it has anything left.
func (c *Config) Addresses() []Address {
	l := c.Listeners
	rest := Address{Key: "listen", Address: c.Listen, API: l.API == "", Registry: l.Registry == "", Metrics: l.Metrics == ""}
	var all []Address
	if rest.API || rest.Registry || rest.Metrics {
		all = append(all, rest)
	}
	if l.API != "" {
		all = append(all, Address{Key: "listeners.api", Address: l.API, API: true})
	}
	if l.Registry != "" {
		all = append(all, Address{Key: "listeners.registry", Address: l.Registry, Registry: true})
	}
	if l.Metrics != "" {
		all = append(all, Address{Key: "listeners.metrics", Address: l.Metrics, Metrics: true, Plain: true})
	}
	return all
}
