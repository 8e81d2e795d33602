# Look-ups in a document of 50 MB: accounts with their entitlements and devices.
package bench

default allow := false

account := data.accounts[input.account]

allow if {
	account.status == "active"
	some entitlement in account.entitlements
	entitlement.product == input.product
	entitlement.seats > 0
	trusted_device
}

trusted_device if {
	device := account.devices[input.device]
	device.trusted
	device.os in data.supported
}

main := {"allow": allow, "plan": object.get(data.accounts, [input.account, "plan"], "none")}
