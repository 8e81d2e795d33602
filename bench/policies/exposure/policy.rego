# Servers, networks and ports: which servers are reachable from outside, and are they allowed to be?
package bench

default allow := false

allow if count(violation) == 0

violation contains server.id if {
	some server in public_servers
	"http" in server.protocols
}

violation contains server.id if {
	some server in input.servers
	"telnet" in server.protocols
}

public_servers contains server if {
	some server in input.servers
	some port in server.ports
	some known_port in input.ports
	port == known_port.id
	some network in input.networks
	known_port.network == network.id
	network.public
}

main := {"allow": allow, "violation": violation}
