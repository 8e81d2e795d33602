package aegis_test

import data.aegis

# [name, what is asked, value, whether it holds]
operator_cases := [
	["lt below", {"number": {"lt": 5}}, 4.999999999999999999999999, true],
	["lt at", {"number": {"lt": 5}}, 5.0, false],
	["lte at", {"number": {"lte": 5000}}, 5000.0, true],
	["lte just above, beyond a float's digits", {"number": {"lte": 5000}}, 5000.000000000000000000001, false],
	["lte of 2^53+1", {"number": {"lte": 9007199254740992}}, 9007199254740993, false],
	["gt above", {"number": {"gt": 9223372036854775807}}, 9223372036854775808, true],
	["gte of 30 digits", {"number": {"gte": 123456789012345678901234567890}}, 123456789012345678901234567889, false],
	["gte of a tiny one", {"number": {"gte": 1e-400}}, 0, false],
	["gt of a huge one", {"number": {"gt": 1e400}}, 10e400, true],
	["a number as text", {"number": {"lte": 5}}, "4", false],
	["null is not a small number", {"number": {"lte": 5}}, null, false],
	["a list is not a large number", {"number": {"gte": 5}}, [9], false],
	["true is not a number", {"number": {"gte": 0}}, true, false],
	["eq by value", {"equal": {"eq": 1}}, 1.0, true],
	["eq in lists", {"equal": {"eq": [1, {"a": 0.10}]}}, [1.0, {"a": 0.1}], true],
	["true is not 1", {"equal": {"eq": 1}}, true, false],
	["\"1\" is not 1", {"equal": {"eq": 1}}, "1", false],
	["null is null", {"equal": {"eq": null}}, null, true],
	["false is false", {"equal": {"eq": false}}, false, true],
	["ne", {"equal": {"ne": 1}}, 2, true],
	["ne by value", {"equal": {"ne": 1}}, 1.00, false],
	["ne of another type", {"equal": {"ne": 1}}, "1", true],
	["ne false", {"equal": {"ne": true}}, false, true],
	["in", {"equal": {"in": ["usd", "eur"]}}, "eur", true],
	["in is case-sensitive", {"equal": {"in": ["usd", "eur"]}}, "EUR", false],
	["in with false", {"equal": {"in": [false]}}, false, true],
	["not_in", {"equal": {"not_in": [1, 2]}}, 3, true],
	["not_in by value", {"equal": {"not_in": [1, 2]}}, 2.0, false],
	["matches", {"text": {"matches": `\A(?:acct_[A-Za-z0-9]+)\z`}}, "acct_1", true],
	["matches the whole", {"text": {"matches": `\A(?:acct_[A-Za-z0-9]+)\z`}}, "acct_1\n", false],
	["matches of no string", {"text": {"matches": `\A(?:.*)\z`}}, 1, false],
	["starts_with", {"text": {"starts_with": "ab"}}, "abc", true],
	["starts_with of a list", {"text": {"starts_with": "ab"}}, ["abc"], false],
	["ends_with", {"text": {"ends_with": "bc"}}, "abc", true],
	["ends_with fails", {"text": {"ends_with": "ab"}}, "abc", false],
	["contains in text", {"other": {"contains": "b"}}, "abc", true],
	["contains in a list", {"other": {"contains": 1}}, ["a", 1.0], true],
	["contains in no object", {"other": {"contains": 1}}, {"a": 1}, false],
	["contains of a number in text", {"other": {"contains": 1}}, "1", false],
	["length in code points", {"other": {"length_lte": 3}}, "a😀b", true],
	["length with a combining mark", {"other": {"length_lte": 1}}, "e\u0301", false],
	["length of a list", {"other": {"length_gte": 2}}, [1, 2], true],
	["length of an object", {"other": {"length_gte": 2}}, {"a": 1}, false],
	["length of a number", {"other": {"length_lte": 9}}, 1, false],
	["type string", {"other": {"type": "string"}}, "", true],
	["type boolean", {"other": {"type": "boolean"}}, false, true],
	["type null", {"other": {"type": "null"}}, null, true],
	["type array", {"other": {"type": "array"}}, [], true],
	["type object", {"other": {"type": "object"}}, {}, true],
	["type number", {"other": {"type": "number"}}, 1.5, true],
	["type number is no string", {"other": {"type": "number"}}, "1", false],
	["type integer", {"other": {"type": "integer"}}, 123456789012345678901234567890, true],
	["type integer of 1.0", {"other": {"type": "integer"}}, 1.0, true],
	["type integer of 1e3", {"other": {"type": "integer"}}, 1e3, true],
	["type integer of 1.5", {"other": {"type": "integer"}}, 1.5, false],
	["type integer of a long fraction", {"other": {"type": "integer"}}, 123456789012345678901234567890.5, false],
	["type integer of text", {"other": {"type": "integer"}}, "1", false],
	["cidr", {"other": {"cidr": ["192.168.0.0/16", "10.0.0.0/8"]}}, "10.1.2.3", true],
	["cidr outside", {"other": {"cidr": ["10.0.0.0/8"]}}, "11.0.0.0", false],
	["cidr of a block", {"other": {"cidr": ["10.0.0.0/8"]}}, "10.0.0.0/9", false],
	["cidr with leading zeros", {"other": {"cidr": ["10.0.0.0/8", "8.0.0.0/8"]}}, "010.0.0.1", false],
	["cidr of a mapped address", {"other": {"cidr": ["10.0.0.0/8"]}}, "::ffff:10.0.0.1", true],
	["cidr of IPv6", {"other": {"cidr": ["2001:db8::/32"]}}, "2001:DB8::1", true],
	["cidr with a zone", {"other": {"cidr": ["fe80::/10"]}}, "fe80::1%eth0", false],
	["cidr of no string", {"other": {"cidr": ["0.0.0.0/0"]}}, 1, false],
	["domain", {"other": {"domain": {"is": ["api.example.com"], "below": []}}}, "API.Example.com.", true],
	["domain below", {"other": {"domain": {"is": [], "below": [".example.com"]}}}, "a.b.example.com", true],
	["domain not below itself", {"other": {"domain": {"is": [], "below": [".example.com"]}}}, "example.com", false],
	["domain without a label", {"other": {"domain": {"is": [], "below": [".example.com"]}}}, ".example.com", false],
	["domain as a suffix", {"other": {"domain": {"is": [], "below": [".example.com"]}}}, "evilexample.com", false],
	["domain with a look-alike k", {"other": {"domain": {"is": ["k.example.com"], "below": []}}}, "\u212a.example.com", false],
	["domain with a port", {"other": {"domain": {"is": ["a.com"], "below": []}}}, "a.com:443", false],
	["exists of null", {"exists": {"is": true}}, null, true],
	["exists of false", {"exists": {"is": true}}, false, true],
	["exists: false", {"exists": {"is": false}}, null, false],
]

test_operator[name] if {
	some [name, asked, value, want] in operator_cases
	got := row_holds(object.union({"key": "p"}, asked), {"p": value})
	got == want
}

test_operator_deep[name] if {
	some [name, asked, value, want] in operator_cases
	got := row_holds(object.union({"path": ["a", "p"]}, asked), {"a": {"p": value}})
	got == want
}

test_operator_each[name] if {
	some [name, asked, value, want] in operator_cases
	got := row_holds(object.union({"each": [["a"], ["p"]]}, asked), {"a": [{"p": value}, {"p": value}]})
	got == want
}

test_operator_missing[name] if {
	some [name, asked, _, _] in operator_cases
	places := [{"key": "p"}, {"path": ["a", "p"]}, {"path": ["t", "p"]}, {"path": ["l", "0"]}]
	results := {row_holds(object.union(place, asked), {"t": "text", "l": ["0"], "x": 1}) | some place in places}
	results == {object.get(asked, "exists", {"is": true}).is == false}
}

# [name, parts of the path, params, whether `lte 5` holds]
each_cases := [
	["all", [["items"], ["n"]], {"items": [{"n": 1}, {"n": 5}]}, true],
	["not all", [["items"], ["n"]], {"items": [{"n": 1}, {"n": 6}]}, false],
	["none", [["items"], ["n"]], {"items": []}, true],
	["no list", [["items"], ["n"]], {}, false],
	["an object is not a list", [["items"], ["n"]], {"items": {"a": {"n": 1}}}, false],
	["one lacks it", [["items"], ["n"]], {"items": [{"n": 1}, {}]}, false],
	["one is not an object", [["items"], ["n"]], {"items": [{"n": 1}, 1]}, false],
	["elements themselves", [["tags"], []], {"tags": [1, 2]}, true],
	["deeper names", [["a", "b"], ["c", "d"]], {"a": {"b": [{"c": {"d": 5}}]}}, true],
	["two levels", [["a"], ["b"], []], {"a": [{"b": [1]}, {"b": [5, 6]}]}, false],
	["two levels at once", [["a"], [], []], {"a": [[1], [5]]}, true],
	["second level is no list", [["a"], [], []], {"a": [[1], 5]}, false],
	["three levels", [["a"], [], [], ["n"]], {"a": [[[{"n": 5}]]]}, true],
	["four levels", [["a"], ["b"], ["c"], ["d"], ["n"]], {"a": [{"b": [{"c": [{"d": [{"n": 5}, {"n": 6}]}]}]}]}, false],
	["four levels, some empty", [["a"], ["b"], ["c"], ["d"], ["n"]], {"a": [{"b": [{"c": []}]}, {"b": []}]}, true],
]

test_each[name] if {
	some [name, parts, params, want] in each_cases
	row_holds({"each": parts, "number": {"lte": 5}}, params) == want
}

test_each_exists_false if {
	row := {"each": [["a"], ["secret"]], "exists": {"is": false}}
	row_holds(row, {"a": [{}, 1, {"b": 1}]}) == true
	row_holds(row, {"a": [{}, {"secret": null}]}) == false
	row_holds(row, {}) == false
}

# [name, row, params, message]
message_cases := [
	["small integer", {"key": "amount", "number": {"lte": 5000}}, {"amount": 9000}, "amount 9000 exceeds max_amount 5000"],
	["written as a decimal", {"key": "amount", "number": {"lte": 5000}}, {"amount": 9000.0}, "amount 9000 exceeds max_amount 5000"],
	["fraction", {"key": "amount", "number": {"lte": 5000}}, {"amount": 9000.5}, "amount exceeds max_amount 5000"],
	["large", {"key": "amount", "number": {"lte": 5000}}, {"amount": 1e15}, "amount exceeds max_amount 5000"],
	["text is not quoted", {"key": "amount", "number": {"lte": 5000}}, {"amount": "x"}, "amount is not a number (max_amount 5000)"],
	["missing", {"key": "amount", "number": {"lte": 5000}}, {}, "amount is missing (max_amount 5000)"],
	["deep", {"path": ["a", "amount"], "number": {"lte": 5000}}, {"a": {"amount": 9000}}, "amount exceeds max_amount 5000"],
	["deep and missing", {"path": ["a", "amount"], "number": {"lte": 5000}}, {"a": 9000}, "amount is missing (max_amount 5000)"],
	["each", {"each": [["a"], []], "number": {"lte": 5000}}, {"a": [9000]}, "amount exceeds max_amount 5000"],
	["exists", {"key": "amount", "exists": {"is": true}}, {}, "amount is missing"],
]

test_message[name] if {
	some [name, row, params, want] in message_cases
	words := {"name": "amount", "fail": "exceeds max_amount 5000", "need": "max_amount 5000"}
	got := aegis.messages([object.union(row, words)]) with input as {"params": params}
	got == want
}

row_holds(row, params) if {
	aegis.row_holds(row) with input as {"params": params}
} else := false
