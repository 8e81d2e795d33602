package aegis_test

egress_tables := {
	"format": 1,
	"documents": 2,
	"agents": {"reader": 0, "observer": 1},
	"profiles": [
		{
			"mode": "enforce",
			# A grant of every tool opens no host.
			"tools": {"api.example.com": {"mode": "enforce"}},
			"grants": [{"tool": {"any": true}, "action": {"any": true}, "grant": 0}],
			"deny": [{"tool": {"is": "bad.example.org"}, "action": {"any": true}, "denial": 0}],
			"egress": {
				"hosts": {"api.example.com": [{"from": 443, "to": 443, "grant": 1}]},
				"below": {"example.org": [{"from": 8000, "to": 8100, "grant": 2}]},
				"networks": [{"cidr": "10.0.0.0/8", "from": 443, "to": 443, "grant": 3}],
			},
		},
		{
			"mode": "shadow",
			"tools": {},
			"egress": {"hosts": {"api.example.com": [{"from": 443, "to": 443, "grant": 4}]}},
		},
	],
	"calls": [{"api.example.com": {"connect": 0}}, {}],
	"labelled": {},
	"grants": [
		{"rule": "reader/*/*", "mode": "enforce", "body": 0},
		{"rule": "reader/egress/api.example.com", "mode": "enforce", "body": 0, "tls": ["ech"]},
		{"rule": "reader/egress/*.example.org:8000-8100", "mode": "enforce", "body": 0, "tls": []},
		{"rule": "reader/egress/10.0.0.0/8", "mode": "enforce", "body": 0, "tls": []},
		{"rule": "observer/egress/api.example.com", "mode": "shadow", "body": 0, "tls": []},
	],
	"denials": [{"rule": "reader/denied_tools/bad.example.org/*", "mode": "enforce"}],
	"bodies": [{"conditions": []}],
}

connect(agent, host, port) := decision_on(
	{
		"agent": {"id": agent},
		"chain": [],
		"door": "egress",
		"tool": host,
		"action": "connect",
		"params": {"host": host, "port": port, "scheme": "https"},
	},
	egress_tables,
)

test_a_listed_host_and_port_is_allowed if {
	decision := connect("reader", "api.example.com", 443)
	decision.outcome == "allow"
	decision.rule == "reader/egress/api.example.com"
	decision.obligations == {"egress": {"networks": ["10.0.0.0/8"], "tls": ["ech"]}}
}

test_other_ports_and_hosts_are_not if {
	some [host, port] in [
		["api.example.com", 80],
		["api.example.com", 444],
		["example.com", 443],
		["x.api.example.com", 443],
		["api.example.com.evil.test", 443],
		["example.org", 8000],
		["xexample.org", 8000],
		["a.example.org", 7999],
		["a.example.org", 8101],
		["11.0.0.1", 443],
		["10.0.0.1", 80],
	]
	connect("reader", host, port).reason == "egress_not_allowed"
}

test_hosts_below_and_ranges if {
	every host in ["a.example.org", "a.b.example.org"] {
		every port in [8000, 8050, 8100] {
			connect("reader", host, port).rule == "reader/egress/*.example.org:8000-8100"
		}
	}
}

test_addresses_in_blocks if {
	decision := connect("reader", "10.1.2.3", 443)
	decision.rule == "reader/egress/10.0.0.0/8"
}

test_denied_tools_win if {
	connect("reader", "bad.example.org", 8000).reason == "denied_tool"
}

test_strangers_reach_nothing if {
	decision := connect("stranger", "api.example.com", 443)
	decision.reason == "egress_not_allowed"
	decision.mode == "enforce"
}

test_documents_in_shadow if {
	connect("observer", "api.example.com", 443).mode == "shadow"
	connect("observer", "api.example.com", 443).outcome == "allow"
	connect("observer", "other.example.com", 443).mode == "shadow"
	connect("observer", "other.example.com", 443).outcome == "deny"
}

test_a_port_is_a_number if {
	connect("reader", "api.example.com", "443").reason == "policy_error"
}

test_agents_behind_the_agent_are_not_permitted if {
	decision := decision_on(
		{
			"agent": {"id": "reader"},
			"chain": [{"type": "agent", "id": "planner"}],
			"door": "egress",
			"tool": "api.example.com",
			"action": "connect",
			"params": {"port": 443},
		},
		egress_tables,
	)
	decision.reason == "caller_not_permitted"
}

test_other_doors_are_judged_by_allowed_tools if {
	decision := decision_on(
		{
			"agent": {"id": "reader"},
			"chain": [],
			"door": "http",
			"tool": "api.example.com",
			"action": "connect",
			"params": {},
		},
		egress_tables,
	)
	decision.rule == "reader/*/*"
}
