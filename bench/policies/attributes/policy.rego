# Access by attributes of subject, object and surroundings.
package bench

default allow := false

allow if {
	active
	cleared
	every tag in input.object.tags {
		tag in data.departments[input.subject.department].tags
	}
	some rule in data.rules
	applies(rule)
}

active if {
	input.subject.active
	not input.subject.id in data.suspended
}

cleared if data.levels[input.subject.clearance] >= data.levels[input.object.classification]

applies(rule) if {
	rule.action == input.action
	every condition in rule.conditions {
		holds(condition)
	}
}

holds(condition) if {
	condition.operator == "equals"
	input[condition.of][condition.name] == condition.value
}

holds(condition) if {
	condition.operator == "in"
	input[condition.of][condition.name] in condition.values
}

holds(condition) if {
	condition.operator == "between"
	value := input[condition.of][condition.name]
	value >= condition.low
	value <= condition.high
}

missing_tags contains tag if {
	some tag in input.object.tags
	not tag in data.departments[input.subject.department].tags
}

main := {"allow": allow, "missing_tags": missing_tags}
