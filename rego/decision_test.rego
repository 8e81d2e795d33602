package aegis_test

import data.aegis

# Two agents with a document each, one with labels, all of which the tests vary.
tables := {
	"format": 1,
	"documents": 3,
	"agents": {"finance-agent": 0, "observer": 1},
	"profiles": [
		{
			"mode": "enforce",
			"tools": {
				"payments": {
					"mode": "enforce",
					"more": {"refund_all": [2]},
					"patterns": [{"action": {"prefix": "refund_"}, "grant": 1}],
					"deny": [{"action": {"prefix": "delete_"}, "denial": 0}],
					"denied": {"delete_all": 0},
				},
				"vault": {"denied": {"open": 0}},
			},
			"grants": [{"tool": {"prefix": "crm-"}, "action": {"is": "read"}, "grant": 3}],
		},
		{
			"mode": "shadow",
			"tools": {"payments": {"mode": "shadow", "actions": {"create": 4}, "denied": {"create": 1}}},
		},
		{
			"mode": "enforce",
			"tools": {"payments": {"mode": "enforce"}, "mail": {"mode": "enforce"}},
		},
	],
	"calls": [
		{"payments": {"create": 0, "refund_all": 1}},
		{},
		{"payments": {"create": 5}, "mail": {"send": 6}},
	],
	"labelled": {"team": {"finance": [{"profile": 2, "match": {"env": "prod"}}]}},
	"grants": [
		{"rule": "finance-agent/payments/create", "mode": "enforce", "body": 0},
		{"rule": "finance-agent/payments/refund_*", "mode": "enforce", "body": 1},
		{"rule": "finance-agent/payments/refund_all", "mode": "enforce", "body": 2},
		{"rule": "finance-agent/crm-*/read", "mode": "enforce", "body": 2},
		{"rule": "observer/payments/create", "mode": "shadow", "body": 0},
		{"rule": "team/payments/create", "mode": "enforce", "body": 2},
		{"rule": "team/mail/send", "mode": "enforce", "body": 3},
	],
	"denials": [
		{"rule": "finance-agent/denied_tools/*/delete_*", "mode": "enforce"},
		{"rule": "observer/denied_tools/payments/create", "mode": "shadow"},
	],
	"bodies": [
		{"conditions": [max_amount]},
		{
			"conditions": [],
			"callers": [
				{"type": "user", "id": {"any": true}, "who": "user:*", "conditions": []},
				{"type": "agent", "id": {"is": "planner"}, "who": "agent:planner", "conditions": [max_500]},
			],
		},
		{"conditions": []},
		{"conditions": [], "schedule": {"zone": "Europe/Berlin", "windows": {"Monday": [[480, 1080]]}, "text": "mon 08:00-18:00 Europe/Berlin"}},
	],
}

max_amount := {
	"key": "amount",
	"number": {"lte": 5000},
	"violation": {"path": "amount", "op": "lte", "bound": 5000},
	"name": "amount",
	"fail": "exceeds max_amount 5000",
	"need": "max_amount 5000",
}

max_500 := object.union(max_amount, {
	"number": {"lte": 500},
	"violation": {"path": "amount", "op": "lte", "bound": 500},
	"fail": "exceeds max_amount 500",
	"need": "max_amount 500",
})

call := {
	"agent": {"id": "finance-agent"},
	"chain": [{"type": "user", "id": "alice"}],
	"tool": "payments",
	"action": "create",
	"params": {"amount": 4200},
	"time": {"unix_ns": 1700470800000000000}, # Monday 2023-11-20, 10:00 in Berlin
}

decide(changes) := decision_on(changed(changes), tables)

# `changes` replace whole members of the call.
changed(changes) := {key: value |
	some key in (object.keys(call) | object.keys(changes))
	value := object.get(changes, key, object.get(call, key, null))
}

# The library's rules are in data.aegis too, so the tables are put in one by one.
decision_on(given, data_of) := decision if {
	decision := aegis.decision with input as given
		with data.aegis.documents as data_of.documents
		with data.aegis.agents as data_of.agents
		with data.aegis.profiles as data_of.profiles
		with data.aegis.calls as data_of.calls
		with data.aegis.labelled as data_of.labelled
		with data.aegis.grants as data_of.grants
		with data.aegis.denials as data_of.denials
		with data.aegis.bodies as data_of.bodies
}

in_team := {"agent": {"id": "someone", "labels": {"team": "finance", "env": "prod"}}}

planner := [{"type": "user", "id": "alice"}, {"type": "agent", "id": "planner"}]

stranger := [{"type": "agent", "id": "stranger"}]

cases := [
	["within the limit", {}, "allow", "allowed", "enforce", "finance-agent/payments/create"],
	["no one behind", {"chain": []}, "allow", "allowed", "enforce", "finance-agent/payments/create"],
	["above the limit", {"params": {"amount": 9000}}, "deny", "condition_failed", "enforce", "finance-agent/payments/create"],
	["an agent behind", {"chain": planner}, "deny", "caller_not_permitted", "enforce", "finance-agent/payments/create"],
	["a listed agent behind, held tighter", {"action": "refund_one", "chain": planner, "params": {"amount": 501}}, "deny", "caller_not_permitted", "enforce", "finance-agent/payments/refund_*"],
	["a listed agent behind", {"action": "refund_one", "chain": planner, "params": {"amount": 500}}, "allow", "allowed", "enforce", "finance-agent/payments/refund_*"],
	["an unlisted agent behind", {"action": "refund_one", "chain": stranger}, "deny", "caller_not_permitted", "enforce", "finance-agent/payments/refund_*"],
	["the first grant that holds", {"action": "refund_all", "chain": []}, "allow", "allowed", "enforce", "finance-agent/payments/refund_*"],
	["of failing grants the first", {"action": "refund_all", "chain": stranger}, "deny", "caller_not_permitted", "enforce", "finance-agent/payments/refund_*"],
	["unknown action", {"action": "list"}, "deny", "action_not_allowed", "enforce", ""],
	["unknown tool", {"tool": "mail", "action": "send"}, "deny", "no_grant", "enforce", ""],
	["unknown agent", {"agent": {"id": "nobody"}}, "deny", "no_grant", "enforce", ""],
	["tool by pattern", {"tool": "crm-eu", "action": "read"}, "allow", "allowed", "enforce", "finance-agent/crm-*/read"],
	["tool by pattern, other action", {"tool": "crm-eu", "action": "write"}, "deny", "action_not_allowed", "enforce", ""],
	["denied by name", {"action": "delete_all"}, "deny", "denied_tool", "enforce", "finance-agent/denied_tools/*/delete_*"],
	["denied by pattern", {"action": "delete_some"}, "deny", "denied_tool", "enforce", "finance-agent/denied_tools/*/delete_*"],
	["a tool that is only denied", {"tool": "vault", "action": "close"}, "deny", "no_grant", "enforce", ""],
	["a denial in shadow", {"agent": {"id": "observer"}}, "deny", "denied_tool", "shadow", "observer/denied_tools/payments/create"],
	["no grant in shadow", {"agent": {"id": "observer"}, "tool": "mail"}, "deny", "no_grant", "shadow", ""],
	["action not allowed in shadow", {"agent": {"id": "observer"}, "action": "list"}, "deny", "action_not_allowed", "shadow", ""],
	["by labels", object.union(in_team, {"params": {}}), "allow", "allowed", "enforce", "team/payments/create"],
	["one label is not enough", {"agent": {"id": "someone", "labels": {"team": "finance"}}}, "deny", "no_grant", "enforce", ""],
	["labels of a wrong type", {"agent": {"id": "someone", "labels": "finance"}}, "deny", "no_grant", "enforce", ""],
	["own document first", {"agent": object.union(in_team.agent, {"id": "finance-agent"})}, "allow", "allowed", "enforce", "finance-agent/payments/create"],
	["own document fails, the team's holds", {"agent": object.union(in_team.agent, {"id": "finance-agent"}), "params": {}}, "allow", "allowed", "enforce", "team/payments/create"],
	["enforced grants silence those in shadow", {"agent": object.union(in_team.agent, {"id": "observer"})}, "deny", "denied_tool", "shadow", "observer/denied_tools/payments/create"],
	["a denial in shadow does not lift an enforced refusal", {"agent": object.union(in_team.agent, {"id": "observer"}), "chain": planner}, "deny", "caller_not_permitted", "enforce", "team/payments/create"],
	["within the schedule", object.union(in_team, {"tool": "mail", "action": "send"}), "allow", "allowed", "enforce", "team/mail/send"],
	["at the schedule's end", object.union(in_team, {"tool": "mail", "action": "send", "time": {"unix_ns": 1700499600000000000}}), "deny", "outside_schedule", "enforce", "team/mail/send"],
	["just before the schedule's end", object.union(in_team, {"tool": "mail", "action": "send", "time": {"unix_ns": 1700499599999999999}}), "allow", "allowed", "enforce", "team/mail/send"],
	["on another day", object.union(in_team, {"tool": "mail", "action": "send", "time": {"unix_ns": 1700557200000000000}}), "deny", "outside_schedule", "enforce", "team/mail/send"],
	["no time", object.union(in_team, {"tool": "mail", "action": "send", "time": null}), "deny", "outside_schedule", "enforce", "team/mail/send"],
	["params not an object", {"params": [1]}, "deny", "policy_error", "enforce", ""],
	["chain not a list", {"chain": {"a": {"type": "user", "id": "alice"}}}, "deny", "policy_error", "enforce", ""],
	["agent not an object", {"agent": "finance-agent"}, "deny", "policy_error", "enforce", ""],
	["agent's name a number", {"agent": {"id": 1}}, "deny", "policy_error", "enforce", ""],
	["tool null", {"tool": null}, "deny", "policy_error", "enforce", ""],
	["action a list", {"action": ["create"]}, "deny", "policy_error", "enforce", ""],
	["a link that is no object", {"chain": ["alice"]}, "deny", "caller_not_permitted", "enforce", "finance-agent/payments/create"],
	["a link without id", {"action": "refund_one", "chain": [{"type": "user"}]}, "deny", "caller_not_permitted", "enforce", "finance-agent/payments/refund_*"],
]

test_case[name] if {
	some [name, changes, outcome, reason, mode, rule] in cases
	got := decide(changes)
	[got.outcome, got.reason, got.mode, got.rule] == [outcome, reason, mode, rule]
}

test_document_of_an_allowed_call if {
	decide({}) == {
		"outcome": "allow",
		"reason": "allowed",
		"rule": "finance-agent/payments/create",
		"message": "allowed",
		"mode": "enforce",
		"violations": [],
		"obligations": {},
	}
}

test_document_of_a_refused_call if {
	decide({"params": {"amount": 9000}}) == {
		"outcome": "deny",
		"reason": "condition_failed",
		"rule": "finance-agent/payments/create",
		"message": "amount 9000 exceeds max_amount 5000",
		"mode": "enforce",
		"violations": [{"path": "amount", "op": "lte", "bound": 5000}],
		"obligations": {},
	}
}

test_a_listed_caller_is_told_what_it_was_held_to if {
	got := decide({"action": "refund_one", "chain": planner, "params": {"amount": 501}})
	got.message == "for caller agent:planner: amount 501 exceeds max_amount 500"
	got.violations == [{"path": "amount", "op": "lte", "bound": 500}]
}

test_an_unlisted_caller_learns_nothing if {
	got := decide({"chain": stranger, "params": {"amount": 9000}})
	got.message == "someone in the chain may not cause this call"
	got.violations == []
}

test_nothing_given if {
	got := decision_on({}, tables)
	got.reason == "policy_error"
	got.message == "the call is malformed: agent.id is not a string"
}

test_no_policy if {
	empty := {"documents": 0, "agents": {}, "profiles": [], "calls": [], "labelled": {}, "grants": [], "denials": [], "bodies": []}
	got := decision_on(call, empty)
	[got.outcome, got.reason, got.mode] == ["deny", "no_policy", "enforce"]
}

test_the_short_cut_gives_the_same if {
	without_labels := object.remove(tables, ["labelled"])
	every changes in [{}, {"chain": []}, {"params": {"amount": 9000}}, {"action": "refund_all"}, {"action": "delete_all"}] {
		given := changed(changes)
		decision_without(given, without_labels) == decision_on(given, tables)
	}
}

# No document has labels: the key is not there at all.
decision_without(given, data_of) := decision if {
	decision := aegis.decision with input as given
		with data.aegis.documents as data_of.documents
		with data.aegis.agents as data_of.agents
		with data.aegis.profiles as data_of.profiles
		with data.aegis.calls as data_of.calls
		with data.aegis.grants as data_of.grants
		with data.aegis.denials as data_of.denials
		with data.aegis.bodies as data_of.bodies
}

# [name, pattern row, text, whether it fits]
pattern_cases := [
	["is", {"is": "a*b"}, "a*b", true],
	["is not", {"is": "ab"}, "aB", false],
	["any", {"any": true}, "", true],
	["prefix", {"prefix": "ab"}, "ab", true],
	["not the prefix", {"prefix": "ab"}, "xab", false],
	["suffix", {"suffix": "/b"}, "a\n/b", true],
	["not the suffix", {"suffix": "b"}, "b\n", false],
	["re", {"re": `\A(?s:a.*b)\z`}, "a\nb", true],
	["not the re", {"re": `\A(?s:a.*b)\z`}, "a\nb\n", false],
]

test_pattern[name] if {
	some [name, pattern, text, want] in pattern_cases
	like(pattern, text) == want
}

like(pattern, text) if {
	aegis.like(pattern, text)
} else := false
