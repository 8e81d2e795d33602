// Command regoc is the project's one door to OPA's Go module: it plans Rego at build time and is the
// oracle that tests and benchmarks compare Aegis with. Nothing at run time needs it.
//
//	regoc plan   --out plan.json [--entrypoint aegis/decision] DIR
//	regoc oracle [--key PUB.pem [--alg ES256] [--scope S]] [--rego DIR] < pairs.jsonl > decisions.jsonl
//	regoc cases > cases.jsonl
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
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			os.Exit(2)
		}
		fmt.Fprintln(os.Stderr, "regoc:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("a command is missing; one of plan, oracle, cases, bench")
	}
	switch args[0] {
	case "plan":
		return runPlan(args[1:])
	case "oracle":
		return runOracle(args[1:], os.Stdin, os.Stdout)
	case "cases":
		return runCases(args[1:], os.Stdout)
	case "bench":
		return runBench(args[1:], os.Stdout)
	}
	return fmt.Errorf("unknown command %q; one of plan, oracle, cases, bench", args[0])
}
