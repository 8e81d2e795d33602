# The meaning of the dialect aegis/v1 over the tables of docs/formats/policy-data.md.
#
# Nothing here depends on how many agents, tools or documents there are: a call is looked up by
# agent, tool and action. Every input gives a decision; what cannot be understood is a deny.
package aegis

# METADATA
# description: The verdict on one call.
# entrypoint: true
decision := egress_decision if {
	input.door == "egress"
} else := {
	"outcome": "allow",
	"reason": "allowed",
	"rule": grant.rule,
	"message": "allowed",
	"mode": grant.mode,
	"violations": [],
	"obligations": {},
} if {
	# A short cut for what most calls are: one profile speaks, it names tool and action, nothing
	# denies them, and the first grant holds. The rules below give the same for such a call.
	not data.aegis.labelled
	index := data.aegis.agents[input.agent.id]
	grant := data.aegis.grants[data.aegis.calls[index][input.tool][input.action]]
	body := data.aegis.bodies[grant.body]
	is_object(input.params)
	is_array(input.chain)
	permitted(body)
	not body.schedule
	every row in body.conditions {
		row_holds(row)
	}
} else := judgement(ids) if {
	# One profile speaks and nothing denies.
	ids := undenied_grants(only_profile)
	is_object(input.params)
	is_array(input.chain)
} else := considered

# Every call, whatever speaks about it.
considered := refusal("policy_error", "enforce", "", malformed, []) if {
	not well_formed
} else := undenied if {
	count(fired) == 0
} else := denied if {
	firing.mode == "enforce"
} else := undenied if {
	# A denial in shadow speaks only where nothing enforced refuses the call already.
	undenied.outcome == "deny"
	undenied.mode == "enforce"
} else := denied

# The verdict of the grants alone.
undenied := judgement(deciding) if {
	deciding != []
} else := verdict if {
	count(tool_modes) > 0
	verdict := refusal("action_not_allowed", lenient(tool_modes), "", "the tool is granted, but not this action", [])
} else := refusal("no_policy", "enforce", "", "there is no policy", []) if {
	data.aegis.documents == 0
} else := refusal("no_grant", lenient(document_modes), "", "no policy grants this agent this tool", [])

denied := refusal("denied_tool", firing.mode, firing.rule, concat("", ["forbidden by ", firing.rule]), [])

# `ids`: numbers of the grants that cover the call, ascending, not empty, all of one mode.
judgement(ids) := allowed(granting[0]) if {
	granting := [grant |
		some id in ids
		grant := data.aegis.grants[id]
		holds(data.aegis.bodies[grant.body])
	]
} else := refused(data.aegis.grants[ids[0]])

allowed(grant) := {
	"outcome": "allow",
	"reason": "allowed",
	"rule": grant.rule,
	"message": "allowed",
	"mode": grant.mode,
	"violations": [],
	"obligations": {},
}

refusal(reason, mode, rule, message, violations) := {
	"outcome": "deny",
	"reason": reason,
	"rule": rule,
	"message": message,
	"mode": mode,
	"violations": violations,
	"obligations": {},
}

# Why a grant that covers the call does not hold: the chain first, so that a caller who may not
# cause the call learns nothing of the bounds.
refused(grant) := verdict if {
	body := data.aegis.bodies[grant.body]
	not permitted(body)
	verdict := refused_caller(grant, body)
} else := verdict if {
	body := data.aegis.bodies[grant.body]
	not in_schedule(body)
	verdict := refusal("outside_schedule", grant.mode, grant.rule, concat("", ["outside ", body.schedule.text]), [])
} else := verdict if {
	rows := failed_rows(data.aegis.bodies[grant.body].conditions)
	verdict := refusal("condition_failed", grant.mode, grant.rule, messages(rows), violations(rows))
}

violations(rows) := [row.violation | some row in rows]

# Shadow only if all of at least one are.
lenient(modes) := "shadow" if {
	modes == {"shadow"}
} else := "enforce"

well_formed if {
	is_string(input.agent.id)
	is_string(input.tool)
	is_string(input.action)
	is_object(input.params)
	is_array(input.chain)
}

# What is wrong with the input. The checks are rules of their own because a negated call with an
# undefined argument is itself undefined.
malformed := "the call is malformed: agent.id is not a string" if {
	not agent_is_named
} else := "the call is malformed: tool is not a string" if {
	not tool_is_named
} else := "the call is malformed: action is not a string" if {
	not action_is_named
} else := "the call is malformed: params is not an object" if {
	not params_are_given
} else := "the call is malformed: chain is not a list"

agent_is_named if is_string(input.agent.id)

tool_is_named if is_string(input.tool)

action_is_named if is_string(input.action)

params_are_given if is_object(input.params)
