# Whether the body of a grant holds for the call: callers, schedule, conditions.
package aegis

holds(body) if {
	permitted(body)
	in_schedule(body)
	not some_row_fails(body.conditions)
}

some_row_fails(rows) if {
	some row in rows
	not row_holds(row)
}

failed_rows(rows) := [row |
	some row in rows
	not row_holds(row)
]

# Everyone behind the acting agent may be there.
permitted(body) if {
	not body.callers
	every link in input.chain {
		link.type == "user"
	}
} else if {
	callers := body.callers
	every link in input.chain {
		some caller in callers
		caller.type == link.type
		is_string(link.id)
		like(caller.id, link.id)
		every row in caller.conditions {
			row_holds(row)
		}
	}
}

caller_fits(caller, link) if {
	caller.type == link.type
	is_string(link.id)
	like(caller.id, link.id)
}

# The first link that may not be there is reported, with the conditions it was held to if it is
# listed at all. A listed caller fails on its own conditions: those of its first entry.
refused_caller(grant, body) := verdict if {
	reports := [report |
		some link in input.chain
		not link_permitted(body, link)
		report := [[caller.who, rows] |
			some caller in body.callers
			caller_fits(caller, link)
			rows := failed_rows(caller.conditions)
		]
	]
	first := reports[0][0]
	verdict := refusal(
		"caller_not_permitted", grant.mode, grant.rule,
		concat("", ["for caller ", first[0], ": ", messages(first[1])]),
		violations(first[1]),
	)
} else := refusal("caller_not_permitted", grant.mode, grant.rule, "someone in the chain may not cause this call", [])

link_permitted(body, link) if {
	some caller in body.callers
	caller_fits(caller, link)
	not some_row_fails(caller.conditions)
}

# [from, to) in minutes of the local day.
in_schedule(body) if {
	not body.schedule
} else if {
	schedule := body.schedule
	at := [input.time.unix_ns, schedule.zone]
	clock := time.clock(at)
	minute := (clock[0] * 60) + clock[1]
	some window in schedule.windows[time.weekday(at)]
	minute >= window[0]
	minute < window[1]
}
