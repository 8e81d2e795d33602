package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/compile"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/util"
)

// testProgram is one line of the standard input of `regoc programs`.
type testProgram struct {
	Module string            `json:"module"` // package test, with a rule main
	Data   json.RawMessage   `json:"data"`
	Inputs []json.RawMessage `json:"inputs"`
}

// plannedProgram is one line of its output.
type plannedProgram struct {
	testProgram
	Error string `json:"error,omitempty"` // the compiler refuses the module; there is nothing else then
	Plan  string `json:"plan,omitempty"`  // plan.json; its one entrypoint is "test/main"
	// One for each input: {"result":…} with the document data.test.main, {} where it is undefined, or {"error":CODE}.
	// Every rule is evaluated in full, which may meet a conflict in a rule that has no result.
	Answers []string `json:"answers,omitempty"`
	// The same as OPA gives it by default, with rules passed over by its index and early exits.
	Indexed []string `json:"indexed,omitempty"`
}

// runPrograms plans each program and answers its inputs with OPA's own evaluator, which works on the
// Rego text and not on the plan.
func runPrograms(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("programs", flag.ContinueOnError)
	if err := flags.Parse(args); err != nil {
		return err
	}
	// Little stays from one answer to the next: with Go's default the collector took four fifths of the time.
	debug.SetGCPercent(1000)
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 1<<20), maxLineBytes)
	writer := bufio.NewWriterSize(out, 1<<20)
	defer writer.Flush()
	encoder := json.NewEncoder(writer)
	encoder.SetEscapeHTML(false)
	for lines.Scan() {
		var program testProgram
		if err := json.Unmarshal(lines.Bytes(), &program); err != nil {
			return fmt.Errorf("the line is not a program: %w", err)
		}
		planned, err := planProgram(program)
		if err != nil {
			planned = &plannedProgram{testProgram: program, Error: err.Error()}
		}
		if err := encoder.Encode(planned); err != nil {
			return err
		}
	}
	return lines.Err()
}

func planProgram(program testProgram) (*plannedProgram, error) {
	ctx := context.Background()
	module, err := ast.ParseModuleWithOpts("test.rego", program.Module, ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		return nil, err
	}
	source := &bundle.Bundle{
		Manifest: bundle.Manifest{Roots: &[]string{"test"}},
		Data:     map[string]any{},
		Modules:  []bundle.ModuleFile{{URL: "test.rego", Path: "test.rego", Raw: []byte(program.Module), Parsed: module}},
	}
	source.Manifest.SetRegoVersion(ast.RegoV1)
	compiler := compile.New().WithBundle(source).WithTarget(compile.TargetPlan).WithEntrypoints("test/main").
		WithRegoVersion(ast.RegoV1)
	if err := compiler.Build(ctx); err != nil {
		return nil, err
	}
	plans := compiler.Bundle().PlanModules
	if len(plans) != 1 {
		return nil, fmt.Errorf("the compiler made %d plans instead of one", len(plans))
	}
	planned := &plannedProgram{testProgram: program, Plan: string(plans[0].Raw)}

	var data map[string]any
	if err := util.UnmarshalJSON(program.Data, &data); err != nil {
		return nil, err
	}
	query, err := rego.New(rego.Query("data.test.main"), rego.SetRegoVersion(ast.RegoV1),
		rego.Module("test.rego", program.Module), rego.Store(inmem.NewFromObject(data))).PrepareForEval(ctx)
	if err != nil {
		return nil, err
	}
	for _, text := range program.Inputs {
		input, err := parseInput(text)
		if err != nil {
			return nil, fmt.Errorf("input: %w", err)
		}
		planned.Answers = append(planned.Answers, answerProgram(ctx, query, input, false))
		planned.Indexed = append(planned.Indexed, answerProgram(ctx, query, input, true))
	}
	return planned, nil
}

func answerProgram(ctx context.Context, query rego.PreparedEvalQuery, input ast.Value, indexed bool) string {
	results, err := query.Eval(ctx, rego.EvalParsedInput(input), rego.EvalRuleIndexing(indexed), rego.EvalEarlyExit(indexed))
	if err != nil {
		code := err.Error()
		var known *topdown.Error
		if errors.As(err, &known) {
			code = known.Code
		}
		return string(canonical(nil, map[string]any{"error": code}))
	}
	if len(results) == 0 {
		return "{}"
	}
	return string(canonical(nil, map[string]any{"result": results[0].Expressions[0].Value}))
}
