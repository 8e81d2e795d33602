package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	cases "github.com/open-policy-agent/opa/build/generate-extended-cases"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
)

// testCase is one line of `regoc cases`: one of OPA's own test cases with its plan.
type testCase struct {
	ID   string     `json:"id"` // FILE: NOTE, and " #2" and so on where a file has a note twice
	Plan *ir.Policy `json:"plan"`
	Data any        `json:"data,omitempty"`
	// The input as JSON, or when it is written as a Rego term in the form of tagged below.
	Input     any `json:"input,omitempty"`
	InputTerm any `json:"input_term,omitempty"`
	// One of both: the result set, or the code that the evaluation fails with.
	WantResult          any               `json:"want_result"`
	WantErrorCode       string            `json:"want_error_code,omitempty"`
	WantError           string            `json:"want_error,omitempty"` // part of its text in OPA
	StrictError         bool              `json:"strict_error,omitempty"`
	SortBindings        bool              `json:"sort_bindings,omitempty"`
	IgnoreGeneratedVars bool              `json:"ignore_generated_vars,omitempty"`
	Env                 map[string]string `json:"env,omitempty"`
}

// runCases writes OPA's test cases for version 1 of the language, as they ship in its Go module, with
// the plans that OPA's compiler makes of them.
func runCases(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("cases", flag.ContinueOnError)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 {
		return errors.New("cases takes no arguments")
	}
	loaded, err := loadCases()
	if err != nil {
		return err
	}
	writer := bufio.NewWriterSize(out, 1<<20)
	encoder := json.NewEncoder(writer)
	encoder.SetEscapeHTML(false)
	seen := map[string]int{}
	for _, c := range loaded {
		line, err := newTestCase(c)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", c.Filename, c.Note, err)
		}
		if seen[line.ID]++; seen[line.ID] > 1 {
			line.ID = fmt.Sprintf("%s #%d", line.ID, seen[line.ID])
		}
		if err := encoder.Encode(line); err != nil {
			return err
		}
	}
	return writer.Flush()
}

// loadCases gives each case once. OPA's package gives the set of a file once for each of its cases,
// and ends the process when it finds no file of exceptions.
func loadCases() ([]*cases.ExtendedTestCase, error) {
	folder, err := os.MkdirTemp("", "regoc-cases-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	exceptions := filepath.Join(folder, "exceptions.yaml")
	if err := os.WriteFile(exceptions, []byte("{}"), 0o600); err != nil {
		return nil, err
	}
	if err := flag.Set("exceptions", exceptions); err != nil {
		return nil, err
	}
	sets, err := cases.LoadIrExtendedTestCases()
	if err != nil {
		return nil, err
	}
	var all []*cases.ExtendedTestCase
	seen := map[*cases.ExtendedTestCase]bool{}
	for _, set := range sets {
		for _, c := range set.Cases {
			if !seen[c] {
				seen[c] = true
				all = append(all, c)
			}
		}
	}
	return all, nil
}

func newTestCase(c *cases.ExtendedTestCase) (*testCase, error) {
	line := &testCase{
		ID:                  c.Filename + ": " + c.Note,
		Plan:                c.Plan,
		WantResult:          c.WantPlanResult,
		StrictError:         c.StrictError,
		SortBindings:        c.SortBindings,
		IgnoreGeneratedVars: c.IgnoreGeneratedVars,
		Env:                 c.Env,
	}
	if c.WantErrorCode != nil {
		line.WantErrorCode = *c.WantErrorCode
	}
	if c.WantError != nil {
		line.WantError = *c.WantError
	}
	if c.Data != nil {
		line.Data = *c.Data
	}
	switch {
	case c.InputTerm != nil:
		term, err := ast.ParseTerm(*c.InputTerm)
		if err != nil {
			return nil, err
		}
		if line.InputTerm, err = tagged(term); err != nil {
			return nil, err
		}
	case c.Input != nil:
		line.Input = *c.Input
	}
	return line, nil
}

// tagged writes a ground term as JSON that keeps what JSON has not: {"set": [...]},
// {"array": [...]}, {"object": [[key, value], ...]}; scalars stand for themselves.
func tagged(term *ast.Term) (any, error) {
	list := func(terms []*ast.Term) ([]any, error) {
		out := make([]any, 0, len(terms))
		for _, t := range terms {
			value, err := tagged(t)
			if err != nil {
				return nil, err
			}
			out = append(out, value)
		}
		return out, nil
	}
	switch value := term.Value.(type) {
	case ast.Null, ast.Boolean, ast.Number, ast.String:
		return ast.JSON(value)
	case *ast.Array:
		elements := make([]*ast.Term, value.Len())
		for i := range elements {
			elements[i] = value.Elem(i)
		}
		out, err := list(elements)
		return map[string]any{"array": out}, err
	case ast.Set:
		out, err := list(value.Slice())
		return map[string]any{"set": out}, err
	case ast.Object:
		members := make([]any, 0, value.Len())
		err := value.Iter(func(k, v *ast.Term) error {
			member, err := list([]*ast.Term{k, v})
			members = append(members, member)
			return err
		})
		return map[string]any{"object": members}, err
	}
	return nil, fmt.Errorf("the input term %v is not a value", term)
}
