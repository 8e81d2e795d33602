# Permissions inherited along a graph of groups and a tree of folders.
package bench

default allow := false

allow if {
	some group in graph.reachable(data.groups, data.members[input.user])
	some folder in ancestors
	input.action in data.grants[folder][group]
}

# The folder and all above it, at most eight levels.
ancestors contains folder if {
	parts := split(input.folder, "/")
	some i in numbers.range(1, count(parts))
	folder := concat("/", array.slice(parts, 0, i))
}

main := {"allow": allow, "depth": count(ancestors)}
