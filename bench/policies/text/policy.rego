# Patterns and formats: what services may be called, and a line for the log.
package bench

default allow := false

allow if {
	well_formed
	some pattern in data.hosts
	glob.match(pattern, ["."], input.host)
	some route in data.routes
	route.method == input.method
	regex.match(route.path, input.path)
}

well_formed if {
	regex.match(`^[a-z0-9.-]{1,253}$`, input.host)
	regex.match(`^/[\w./-]*$`, input.path)
	not contains(input.path, "..")
}

line := sprintf("%s %s%s allowed=%v agent=%q size=%d", [
	input.method, lower(input.host), input.path, allow, trim_space(input.agent), input.size,
])

parts := [upper(part) | some part in split(trim(input.path, "/"), "/"); part != ""]

main := {"line": line, "parts": parts, "masked": regex.replace(input.agent, `\d+`, "N")}
