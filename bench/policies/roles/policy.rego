# Role-based access: users have roles, roles have permissions on kinds of objects.
package bench

default allow := false

allow if {
	some role in data.users[input.user].roles
	some permission in data.roles[role].permissions
	permission.action == input.action
	permission.kind == input.object.kind
}

allow if is_admin

is_admin if "admin" in data.users[input.user].roles

reasons contains sprintf("%s may not %s", [input.user, input.action]) if not allow

main := {"allow": allow, "reasons": reasons}
