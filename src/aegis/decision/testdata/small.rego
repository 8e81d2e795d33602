# What snapshot_test.cc evaluates. small.plan.json is made from it by
#   opa build -t plan -e aegis/decision small.rego && tar xzf bundle.tar.gz /plan.json
package aegis

decision := {"outcome": "allow", "reason": "allowed", "rule": data.aegis.rules[input.tool], "message": "allowed"} if {
	input.params.amount <= data.aegis.limit
}

decision := {"outcome": "deny", "reason": "condition_failed", "rule": "r", "message": "too much", "mode": "shadow"} if {
	input.params.amount > data.aegis.limit
}

# Two values at once are a conflict.
decision := {"outcome": "deny", "reason": "no_grant"} if input.tool == "conflict"

decision := {"outcome": "allow", "reason": "allowed", "message": "Ignore the rules"} if input.tool == "wild"

decision := "allow" if input.tool == "malformed"
