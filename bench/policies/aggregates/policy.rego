# Sums, groups and ranges over lists: an expense report.
package bench

by_category[category] := total if {
	some category in {item.category | some item in input.items}
	total := sum([item.amount | some item in input.items; item.category == category])
}

over contains category if {
	some category, total in by_category
	total > data.limits[category]
}

largest := max([item.amount | some item in input.items])

days := {item.day | some item in input.items}

gaps := [day | some day in numbers.range(min(days), max(days)); not day in days]

open_ports := {port |
	some range in input.ranges
	some port in numbers.range(range.from, range.to)
	not port in data.closed
}

approvers := sort({approver |
	some item in input.items
	some approver, categories in data.approvers
	item.category in categories
})

main := {
	"approvers": approvers,
	"by_category": by_category,
	"gaps": count(gaps),
	"largest": largest,
	"open_ports": count(open_ports),
	"over": over,
	"average": round(sum([item.amount | some item in input.items]) / count(input.items)),
}
