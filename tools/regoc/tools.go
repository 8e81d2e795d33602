//go:build tools

// The build tag keeps these out of regoc itself; they are here so that go.mod and go.sum pin
// everything that the stock `opa` binary needs.
package main

import _ "github.com/open-policy-agent/opa"
