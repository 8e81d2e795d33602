# Authorization of an HTTP API: the path comes as an array of its parts.
package bench

default allow := false

# Everyone reads what is public.
allow if {
	input.method == "GET"
	input.path[0] == "public"
}

# People read and change their own profile.
allow if {
	some user_id
	input.method in {"GET", "PUT"}
	input.path = ["users", user_id, "profile"]
	input.user == user_id
}

# Salaries are for oneself and for those above, at any distance.
allow if {
	some user_id
	input.method == "GET"
	input.path = ["finance", "salary", user_id]
	reports_to(user_id)
}

# Orders of a shop, for its staff.
allow if {
	["shops", shop, "orders"] = array.slice(input.path, 0, 3)
	input.user in data.shops[shop].staff
	not write_outside_hours
}

allow if {
	input.path[0] == "admin"
	input.user in data.admins
}

reports_to(user_id) if user_id == input.user

reports_to(user_id) if input.user in data.managers[user_id]

write_outside_hours if {
	input.method != "GET"
	input.hour < 8
}

write_outside_hours if {
	input.method != "GET"
	input.hour >= 18
}

main := allow
