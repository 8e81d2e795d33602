# Firewall: does a rule let this connection through?
package bench

default allow := false

allow if {
	valid
	not blocked
	some rule in data.rules
	rule.protocol == input.protocol
	input.port >= rule.ports[0]
	input.port <= rule.ports[1]
	some source in rule.sources
	net.cidr_contains(source, input.source)
	net.cidr_contains(rule.destination, input.destination)
}

blocked if {
	some network in data.blocked
	net.cidr_contains(network, input.source)
}

valid if {
	net.cidr_is_valid(concat("/", [input.source, "32"]))
	input.port > 0
	input.port < 65536
}

main := allow
