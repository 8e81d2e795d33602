# Calls of the egress door: whether an agent may connect to a host and port. Entries of allowed_tools
# say nothing of them, so that a grant of all tools opens no host; denied_tools do.
package aegis

# The tool is the host: a name in canonical form, or an IP address as the door writes it.
egress_decision := refusal("policy_error", "enforce", "", malformed, []) if {
	not well_formed
} else := refusal("policy_error", "enforce", "", "the call is malformed: params.port is not a number", []) if {
	not port_is_given
} else := egress_undenied if {
	count(fired) == 0
} else := denied if {
	firing.mode == "enforce"
} else := egress_undenied if {
	egress_undenied.outcome == "deny"
	egress_undenied.mode == "enforce"
} else := denied

port_is_given if is_number(input.params.port)

egress_undenied := egress_judgement(egress_deciding) if {
	egress_deciding != []
} else := refusal("no_policy", "enforce", "", "there is no policy", []) if {
	data.aegis.documents == 0
} else := refusal("egress_not_allowed", lenient(document_modes), "", "no policy lets this agent reach this host and port", [])

egress_judgement(ids) := egress_allowed(granting[0]) if {
	granting := [grant |
		some id in ids
		grant := data.aegis.grants[id]
		holds(data.aegis.bodies[grant.body])
	]
} else := refused(data.aegis.grants[ids[0]])

egress_allowed(grant) := {
	"outcome": "allow",
	"reason": "allowed",
	"rule": grant.rule,
	"message": "allowed",
	"mode": grant.mode,
	"violations": [],
	"obligations": {"egress": {"networks": egress_networks(grant.mode), "tls": grant.tls}},
}

# The blocks in which addresses may lie that names must not lead to otherwise.
egress_networks(mode) := sort({row.cidr |
	some row in egress_network_rows
	grant := data.aegis.grants[row.grant]
	grant.mode == mode
	holds(data.aegis.bodies[grant.body])
})

# As deciding.
egress_deciding := sort(enforced) if {
	enforced := {id |
		some id in egress_covering
		data.aegis.grants[id].mode == "enforce"
	}
	count(enforced) > 0
} else := sort(egress_covering)

egress_covering contains row.grant if {
	some index in agent_profiles
	some row in data.aegis.profiles[index].egress.hosts[input.tool]
	egress_port_fits(row)
}

egress_covering contains row.grant if {
	some index in agent_profiles
	some domain in egress_domains
	some row in data.aegis.profiles[index].egress.below[domain]
	egress_port_fits(row)
}

egress_covering contains row.grant if {
	some row in egress_network_rows
	net.cidr_contains(row.cidr, input.tool)
}

egress_network_rows contains row if {
	some index in agent_profiles
	some row in data.aegis.profiles[index].egress.networks
	egress_port_fits(row)
}

egress_port_fits(row) if {
	row.from <= input.params.port
	input.params.port <= row.to
}

# What the host is below: "b.c" and "c" of "a.b.c".
egress_domains contains domain if {
	labels := split(input.tool, ".")
	some i, _ in labels
	i > 0
	domain := concat(".", array.slice(labels, i, count(labels)))
}
