# Whether the row of a condition holds, and the words for when it does not.
package aegis

# A value that no JSON input holds.
missing := set()

# The most frequent rows come first and in one step.
row_holds(row) if {
	bound := row.number.lte
	value := input.params[row.key]
	is_number(value)
	value <= bound
} else if {
	input.params[row.key] in row.equal.in
} else if {
	input.params[row.key] == row.equal.eq
} else if {
	regex.match(row.text.matches, input.params[row.key])
} else if {
	other_row_holds(row)
}

other_row_holds(row) if {
	value := input.params[row.key]
	value_holds(row, value)
} else if {
	value := object.get(input.params, row.path, missing)
	value != missing
	value_holds(row, value)
} else if {
	row.exists.is == false
	not present(row)
} else if {
	each_holds(row)
}

# For rows without `each` only.
present(row) if {
	object.get(input.params, row.key, missing) != missing
}

present(row) if {
	object.get(input.params, row.path, missing) != missing
}

present(row) if row.each

each_holds(row) if {
	depth := count(row.each)
	list := list_at(input.params, row.each[0])
	every_holds(row, depth, list)
}

every_holds(row, 2, list) if {
	every element in list {
		element_holds(row, element, row.each[1])
	}
}

every_holds(row, 3, list) if {
	every a in list {
		every element in list_at(a, row.each[1]) {
			element_holds(row, element, row.each[2])
		}
	}
}

every_holds(row, 4, list) if {
	every a in list {
		every b in list_at(a, row.each[1]) {
			every element in list_at(b, row.each[2]) {
				element_holds(row, element, row.each[3])
			}
		}
	}
}

every_holds(row, 5, list) if {
	every a in list {
		every b in list_at(a, row.each[1]) {
			every c in list_at(b, row.each[2]) {
				every element in list_at(c, row.each[3]) {
					element_holds(row, element, row.each[4])
				}
			}
		}
	}
}

list_at(value, names) := list if {
	list := at(value, names)
	is_array(list)
}

at(value, names) := value if {
	names == []
} else := found if {
	is_object(value)
	found := object.get(value, names, missing)
	found != missing
}

element_holds(row, element, names) if {
	value_holds(row, at(element, names))
} else if {
	row.exists.is == false
	not at_present(element, names)
}

at_present(element, names) if {
	at(element, names) != missing
}

value_holds(row, value) if {
	number := row.number
	is_number(value)
	number_holds(number, value)
} else if {
	equal_holds(row.equal, value)
} else if {
	text_holds(row.text, value)
} else if {
	row.exists.is == true
} else if {
	other_holds(row.other, value)
}

number_holds(number, value) if {
	value <= number.lte
} else if {
	value >= number.gte
} else if {
	value < number.lt
} else if {
	value > number.gt
}

equal_holds(row, value) if {
	value == row.eq
} else if {
	value in row.in
} else if {
	value != row.ne
} else if {
	unwanted := row.not_in
	not value in unwanted
}

# The builtins are undefined for a value that is not a string.
text_holds(text, value) if {
	regex.match(text.matches, value)
} else if {
	startswith(value, text.starts_with)
} else if {
	endswith(value, text.ends_with)
}

other_holds(other, value) if {
	other.contains in array_of(value)
} else if {
	contains(value, other.contains)
} else if {
	count(value) <= other.length_lte
} else if {
	count(value) >= other.length_gte
} else if {
	type_name(value) == other.type
} else if {
	other.type == "integer"
	value % 1 == 0
} else if {
	some block in other.cidr
	not contains(value, "/")
	net.cidr_contains(block, value)
} else if {
	domain_holds(other.domain, value)
}

array_of(value) := value if is_array(value)

# Only ASCII names: folding the case of anything else could turn it into a listed name.
domain_holds(domain, value) if {
	regex.match(`\A[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?\z`, value)
	host := lower(trim_suffix(value, "."))
	host_listed(domain, host)
}

host_listed(domain, host) if {
	host in domain.is
} else if {
	some suffix in domain.below
	endswith(host, suffix)
}

messages(rows) := concat("; ", [message(row) | some row in rows])

message(row) := concat("", [row.name, " is missing"]) if {
	row.exists.is == true
} else := concat("", [row.name, " is missing (", row.need, ")"]) if {
	not row.exists
	not present(row)
} else := concat("", [row.name, " is not a number (", row.need, ")"]) if {
	row.number
	not row.each
	not is_number(value_of(row))
} else := concat("", [row.name, " ", format_int(value, 10), " ", row.fail]) if {
	value := input.params[row.key]
	value % 1 == 0
	value < 1000000000000000
	value > -1000000000000000
} else := concat("", [row.name, " ", row.fail])

value_of(row) := input.params[row.key]

value_of(row) := object.get(input.params, row.path, missing)
