# What is somewhere in a document, however deep.
package bench

secrets contains concat(".", [sprintf("%v", [part]) | some part in path]) if {
	walk(input.document, [path, value])
	is_string(value)
	startswith(value, "secret:")
}

forbidden contains value.name if {
	walk(input.document, [_, value])
	is_object(value)
	value.kind in data.forbidden
}

main := {"secrets": secrets, "forbidden": forbidden, "allow": count(secrets) + count(forbidden) == 0}
