package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/compile"
)

// runPlan writes OPA's intermediate representation of the Rego files below a folder. The same files
// give the same bytes: names in the plan are relative to the folder and sorted.
func runPlan(args []string) error {
	flags := flag.NewFlagSet("plan", flag.ContinueOnError)
	out := flags.String("out", "", "file to write; default standard output")
	entrypoint := flags.String("entrypoint", defaultEntrypoint, "rule to plan, as a path")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("plan needs one folder of Rego files")
	}
	plan, err := planFolder(flags.Arg(0), *entrypoint)
	if err != nil {
		return err
	}
	if *out == "" {
		_, err = os.Stdout.Write(plan)
		return err
	}
	return writeIfChanged(*out, plan)
}

func planFolder(folder, entrypoint string) ([]byte, error) {
	root := os.DirFS(folder)
	var names []string
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(name, ".rego") && !strings.HasSuffix(name, "_test.rego") {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no .rego file in %s", folder)
	}
	sort.Strings(names)
	compiler := compile.New().
		WithFS(root).
		WithPaths(names...).
		WithTarget(compile.TargetPlan).
		WithEntrypoints(entrypoint).
		WithRegoVersion(ast.RegoV1)
	if err := compiler.Build(context.Background()); err != nil {
		return nil, err
	}
	plans := compiler.Bundle().PlanModules
	if len(plans) != 1 {
		return nil, fmt.Errorf("the compiler made %d plans instead of one", len(plans))
	}
	return plans[0].Raw, nil
}

// writeIfChanged keeps the file's time when nothing changed, so that nothing is rebuilt for it.
func writeIfChanged(path string, content []byte) error {
	old, err := os.ReadFile(path)
	if err == nil && string(old) == string(content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}
