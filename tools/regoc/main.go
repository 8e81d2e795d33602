// Command regoc is the project's one door to OPA's Go module: it plans Rego at build time and is the
// oracle that tests and benchmarks compare Aegis with. At run time only Rego that users wrote needs
// it: the command line and the control plane then run `regoc compile`.
//
//	regoc plan   --out plan.json [--entrypoint aegis/decision] DIR
//	regoc oracle [--key PUB.pem [--alg ES256] [--scope S]] [--rego DIR] < pairs.jsonl > decisions.jsonl
//	regoc cases > cases.jsonl
//	regoc programs < programs.jsonl > planned.jsonl
//	regoc compile < request.json > plan.json
//	regoc bench  --bundle B --inputs FILE.jsonl [--seconds 3] [--runs 3] [--query Q] [--read-ast]
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

const (
	defaultEntrypoint = "aegis/decision"
	defaultQuery      = "data.aegis.decision"
	commands          = "plan, compile, oracle, cases, programs, bench"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			os.Exit(2)
		}
		if errors.Is(err, errMistakes) {
			os.Exit(3)
		}
		fmt.Fprintln(os.Stderr, "regoc:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("a command is missing; one of " + commands)
	}
	switch args[0] {
	case "plan":
		return runPlan(args[1:])
	case "compile":
		return runCompile(args[1:], os.Stdin, os.Stdout)
	case "oracle":
		return runOracle(args[1:], os.Stdin, os.Stdout)
	case "programs":
		return runPrograms(args[1:], os.Stdin, os.Stdout)
	case "cases":
		return runCases(args[1:], os.Stdout)
	case "bench":
		return runBench(args[1:], os.Stdout)
	}
	return fmt.Errorf("unknown command %q; one of %s", args[0], commands)
}
