# An API behind an identity provider: the caller's token is checked against the provider's keys, then
# its claims decide.
package bench

default allow := false

allow if {
	input.action in granted
	not suspended
}

claims := payload if {
	[scheme, token] := split(input.headers.authorization, " ")
	lower(scheme) == "bearer"
	[valid, _, payload] := io.jwt.decode_verify(token, {
		"cert": data.provider.jwks,
		"iss": data.provider.issuer,
		"aud": "orders-api",
	})
	valid
}

# What the token's scopes and the caller's groups give.
granted contains action if {
	some scope in split(claims.scope, " ")
	some action in data.scopes[scope]
}

granted contains action if {
	some group in claims.groups
	some action in data.groups[group]
}

suspended if claims.sub in data.suspended

main := {"allow": allow, "subject": claims.sub} if claims

main := {"allow": false, "subject": null} if not claims
