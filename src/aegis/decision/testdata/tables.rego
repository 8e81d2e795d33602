# What explain_test.cc evaluates: the shape of the dialect's tables, with a verdict that the params ask for.
# tables.plan.json is made from it by
#   opa build -t plan -e aegis/decision tables.rego && tar xzf bundle.tar.gz /plan.json
package aegis

decision := {
	"outcome": input.params.outcome,
	"reason": input.params.reason,
	"rule": data.aegis.grants[input.params.grant].rule,
	"message": "said",
	"mode": "enforce",
	"violations": violations,
	"obligations": {},
}

decision := {
	"outcome": "deny",
	"reason": "denied_tool",
	"rule": "1#a/denied_tools/x/*",
	"message": "said",
	"mode": "shadow",
	"violations": [],
	"obligations": {},
} if {
	not input.params.grant
}

violations := [row.violation |
	some row in data.aegis.bodies[data.aegis.grants[input.params.grant].body].conditions
	row.violation.path in input.params.failed
]
