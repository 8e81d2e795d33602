package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/keys"
	"github.com/open-policy-agent/opa/v1/loader"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/util"
)

const maxLineBytes = 64 << 20

// question is one line of the oracle's standard input.
type question struct {
	Bundle string          `json:"bundle"` // a bundle file, or a folder laid out as one
	Input  json.RawMessage `json:"input"`
}

// library holds what was loaded: one prepared query for each bundle.
type library struct {
	verification *bundle.VerificationConfig // nil: signatures are not looked at
	regoFolder   string                     // Rego to use instead of the bundle's own; "": the bundle's
	query        string
	readAST      bool
	noResult     bool // leave out the conversion of results, as `opa bench` does
	prepared     map[string]*rego.PreparedEvalQuery
}

// runOracle answers each line of `in` with one line: the canonical decision document,
// {"undefined":true}, or {"error":"…"}.
func runOracle(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("oracle", flag.ContinueOnError)
	key := flags.String("key", "", "public key (PEM file or text); bundles must be signed by it")
	algorithm := flags.String("alg", "ES256", "algorithm of the key")
	scope := flags.String("scope", "", "scope that the signature must have")
	regoFolder := flags.String("rego", "", "folder of Rego to use with the bundles' data")
	query := flags.String("query", defaultQuery, "query")
	if err := flags.Parse(args); err != nil {
		return err
	}
	lib := &library{regoFolder: *regoFolder, query: *query, prepared: map[string]*rego.PreparedEvalQuery{}}
	if *key != "" {
		config, err := keys.NewKeyConfig(*key, *algorithm, *scope)
		if err != nil {
			return fmt.Errorf("key: %w", err)
		}
		// With a key id in the configuration OPA uses that key whatever `kid` a signature names.
		const id = "oracle"
		lib.verification = bundle.NewVerificationConfig(map[string]*keys.Config{id: config}, id, *scope, nil)
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 1<<20), maxLineBytes)
	writer := bufio.NewWriterSize(out, 1<<20)
	defer writer.Flush()
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		answer, err := lib.answer(lines.Bytes())
		if err != nil {
			answer = canonical(nil, map[string]any{"error": err.Error()})
		}
		if _, err := writer.Write(append(answer, '\n')); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (l *library) answer(line []byte) ([]byte, error) {
	var q question
	if err := json.Unmarshal(line, &q); err != nil {
		return nil, fmt.Errorf("the line is not a question: %w", err)
	}
	query, err := l.load(q.Bundle)
	if err != nil {
		return nil, err
	}
	input, err := parseInput(q.Input)
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	results, err := query.Eval(context.Background(), rego.EvalParsedInput(input))
	if err != nil {
		return nil, err
	}
	if len(results) == 0 {
		return []byte(`{"undefined":true}`), nil
	}
	if len(results) != 1 || len(results[0].Expressions) != 1 {
		return nil, errors.New("the query has more than one result")
	}
	return canonical(nil, results[0].Expressions[0].Value), nil
}

func parseInput(text []byte) (ast.Value, error) {
	if len(text) == 0 {
		return nil, errors.New("is missing")
	}
	var value any
	if err := util.UnmarshalJSON(text, &value); err != nil {
		return nil, err
	}
	return ast.InterfaceToValue(value)
}

func (l *library) load(path string) (*rego.PreparedEvalQuery, error) {
	if query, ok := l.prepared[path]; ok {
		return query, nil
	}
	files := loader.NewFileLoader().WithRegoVersion(ast.RegoV1)
	if l.verification != nil {
		files = files.WithBundleVerificationConfig(l.verification)
	} else {
		files = files.WithSkipBundleVerification(true)
	}
	b, err := files.AsBundle(path)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	options := []func(*rego.Rego){rego.Query(l.query), rego.SetRegoVersion(ast.RegoV1)}
	if l.regoFolder == "" {
		options = append(options, rego.ParsedBundle(path, b), rego.StoreReadAST(l.readAST))
	} else {
		options = append(options, rego.Load([]string{l.regoFolder}, nil),
			rego.Store(inmem.NewFromObjectWithOpts(b.Data, inmem.OptReturnASTValuesOnRead(l.readAST))))
	}
	if l.noResult {
		options = append(options, rego.GenerateJSON(func(*ast.Term, *rego.EvalContext) (any, error) { return nil, nil }))
	}
	query, err := rego.New(options...).PrepareForEval(context.Background())
	if err != nil {
		return nil, err
	}
	l.prepared[path] = &query
	return &query, nil
}
