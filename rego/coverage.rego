# Which grants and denials of the policy speak about the call.
package aegis

# The one profile that speaks, as an index into profiles; undefined when several do or none.
only_profile := index if {
	not some_label_matches
	index := data.aegis.agents[input.agent.id]
} else := index if {
	count(agent_profiles) == 1
	some index in agent_profiles
}

some_label_matches if {
	some key, value in input.agent.labels
	data.aegis.labelled[key][value]
}

agent_profiles contains data.aegis.agents[input.agent.id]

agent_profiles contains row.profile if {
	some key, value in input.agent.labels
	some row in data.aegis.labelled[key][value]
	every name, wanted in row.match {
		input.agent.labels[name] == wanted
	}
}

document_modes contains data.aegis.profiles[index].mode if {
	some index in agent_profiles
}

# Modes of the entries that grant the tool, whatever the action.
tool_modes contains data.aegis.profiles[index].tools[input.tool].mode if {
	some index in agent_profiles
}

tool_modes contains data.aegis.grants[row.grant].mode if {
	some index in agent_profiles
	not data.aegis.profiles[index].tools[input.tool]
	some row in data.aegis.profiles[index].grants
	like(row.tool, input.tool)
}

# The grants of one profile that decide; undefined when there are none, or a denial may fire, or
# only some of them are enforced.
undenied_grants(index) := with_more(index, data.aegis.calls[index][input.tool][input.action]) if {
	true
} else := ids if {
	is_string(input.action)
	tool := data.aegis.profiles[index].tools[input.tool]
	not tool.mixed
	not tool.denied[input.action]
	not some_denial_fits(tool)
	ids := pattern_grants(tool)
	ids != []
}

# All grants of an action that the profile names, given the first.
with_more(index, first) := array.concat(
	[first],
	data.aegis.profiles[index].tools[input.tool].more[input.action],
) if {
	true
} else := [first]

some_denial_fits(tool) if {
	some row in tool.deny
	like(row.action, input.action)
}

pattern_grants(tool) := [row.grant | some row in tool.patterns; like(row.action, input.action)]

# Enforced grants decide; those in shadow only where there is no other. Ascending.
deciding := sort(enforced) if {
	enforced := {id |
		some id in covering
		data.aegis.grants[id].mode == "enforce"
	}
	count(enforced) > 0
} else := sort(covering)

covering contains id if {
	some index in agent_profiles
	some id in profile_grants(index)
}

profile_grants(index) := with_more(index, data.aegis.calls[index][input.tool][input.action]) if {
	true
} else := ids if {
	tool := data.aegis.profiles[index].tools[input.tool]
	ids := tool_grants(index, tool)
} else := [row.grant |
	some row in data.aegis.profiles[index].grants
	like(row.tool, input.tool)
	like(row.action, input.action)
]

# For actions that are not in calls: a denial fires, or they are not named at all.
tool_grants(index, tool) := with_more(index, tool.actions[input.action]) if {
	true
} else := [] if {
	tool.denied[input.action]
} else := pattern_grants(tool)

# The denial that counts: the first enforced one, else the first.
firing := data.aegis.denials[min(enforced)] if {
	enforced := {id |
		some id in fired
		data.aegis.denials[id].mode == "enforce"
	}
} else := data.aegis.denials[min(fired)]

fired contains id if {
	some index in agent_profiles
	some id in profile_denials(index)
}

profile_denials(index) := [] if {
	data.aegis.calls[index][input.tool][input.action]
} else := ids if {
	tool := data.aegis.profiles[index].tools[input.tool]
	ids := tool_denials(tool)
} else := [row.denial |
	some row in data.aegis.profiles[index].deny
	like(row.tool, input.tool)
	like(row.action, input.action)
]

tool_denials(tool) := [tool.denied[input.action]] if {
	true
} else := [row.denial | some row in tool.deny; like(row.action, input.action)]

# Whether a name fits a pattern row.
like(pattern, name) if {
	pattern.is == name
} else if {
	pattern.any
} else if {
	startswith(name, pattern.prefix)
} else if {
	endswith(name, pattern.suffix)
} else if {
	regex.match(pattern.re, name)
}
