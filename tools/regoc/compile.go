package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/compile"
)

// What one compilation may use; the caller limits the process too.
const (
	compileFormat      = 1
	maxRequestBytes    = 160 << 20
	maxCompileMemory   = 1 << 30
	maxCompileStack    = 256 << 20
	maxCompileMistakes = 100
)

// compileRequest is the standard input of `regoc compile`.
type compileRequest struct {
	Format      int             `json:"format"` // compileFormat
	Modules     []compileModule `json:"modules"`
	Data        json.RawMessage `json:"data"`         // base documents that no rule may be above or below; may be absent
	Entrypoints []string        `json:"entrypoints"`  // rules to plan, as paths
	Functions   []string        `json:"functions"`    // names of builtin functions that the engine has; absent: all of OPA's
	RegoVersion int             `json:"rego_version"` // 0 or 1
}

type compileModule struct {
	Name   string `json:"name"` // what mistakes are reported under
	Text   string `json:"text"`
	Custom string `json:"custom"` // X: custom Rego of the dialect, package aegis.custom.X; "": no rule about it
}

// mistake is one thing that is wrong with the modules. Row and column start at 1, columns count code
// points; row 0: the file as a whole; no file: all of them.
type mistake struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	File    string `json:"file"`
	Row     int    `json:"row"`
	Col     int    `json:"col"`
}

// errMistakes: the answer holds mistakes instead of a plan.
var errMistakes = errors.New("the modules have mistakes")

//go:embed refused_builtins.json
var refusedBuiltinsJSON []byte

// runCompile reads a request and answers with the plan, or with {"errors": [mistake…]} and
// errMistakes. It opens no file and no connection.
func runCompile(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 0 {
		return errors.New("compile has no arguments; the request comes on standard input")
	}
	debug.SetMemoryLimit(maxCompileMemory)
	debug.SetMaxStack(maxCompileStack)
	text, err := io.ReadAll(io.LimitReader(in, maxRequestBytes+1))
	if err != nil {
		return err
	}
	if len(text) > maxRequestBytes {
		return fmt.Errorf("the request has more than %d bytes", maxRequestBytes)
	}
	if !utf8.Valid(text) {
		return errors.New("the request is not UTF-8")
	}
	var request compileRequest
	if err := json.Unmarshal(text, &request); err != nil {
		return fmt.Errorf("the request is not JSON: %w", err)
	}
	if request.Format != compileFormat {
		return fmt.Errorf("the request has format %d, this compiler knows %d; use the one that was built with the program", request.Format, compileFormat)
	}
	plan, mistakes, err := compileModules(&request)
	if err != nil {
		return err
	}
	if len(mistakes) == 0 {
		_, err = out.Write(plan)
		return err
	}
	answer, err := json.Marshal(map[string]any{"errors": mistakes})
	if err != nil {
		return err
	}
	if _, err := out.Write(answer); err != nil {
		return err
	}
	return errMistakes
}

func compileModules(request *compileRequest) ([]byte, []mistake, error) {
	version := ast.RegoV1
	if request.RegoVersion == 0 {
		version = ast.RegoV0
	}
	refused := map[string]string{}
	if err := json.Unmarshal(refusedBuiltinsJSON, &refused); err != nil {
		return nil, nil, err
	}
	functions := newFunctions(version, refused, request.Functions)

	parsed := make([]*ast.Module, len(request.Modules))
	var mistakes []mistake
	for i, module := range request.Modules {
		made, err := ast.ParseModuleWithOpts(module.Name, module.Text, ast.ParserOptions{
			RegoVersion: version, ProcessAnnotation: module.Custom != "",
		})
		if err != nil {
			mistakes = append(mistakes, functions.mistakesOf(err)...)
			continue
		}
		parsed[i] = made
	}
	if len(mistakes) == 0 {
		mistakes = checkCustom(request.Modules, parsed)
	}
	if len(mistakes) > 0 {
		return nil, firstMistakes(mistakes), nil
	}
	plan, err := planModules(request, parsed, functions.capabilities, version)
	if err != nil {
		return nil, firstMistakes(functions.mistakesOf(err)), nil
	}
	return plan, nil, nil
}

func planModules(request *compileRequest, parsed []*ast.Module, capabilities *ast.Capabilities, version ast.RegoVersion) ([]byte, error) {
	var data map[string]any
	if len(request.Data) > 0 {
		if err := json.Unmarshal(request.Data, &data); err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
	}
	b := &bundle.Bundle{Data: map[string]any{}}
	b.SetRegoVersion(version)
	b.Manifest.Init()
	modules := map[string]*ast.Module{}
	for i, module := range request.Modules {
		if modules[module.Name] != nil {
			return nil, fmt.Errorf("two modules are named %s", module.Name)
		}
		modules[module.Name] = parsed[i]
		b.Modules = append(b.Modules, bundle.ModuleFile{URL: module.Name, Path: module.Name, Parsed: parsed[i], Raw: []byte(module.Text)})
	}
	// The planner's own compilation neither looks for conflicts with data nor goes on after ten mistakes.
	schemas, err := customSchemas(request.Modules)
	if err != nil {
		return nil, err
	}
	compiler := ast.NewCompiler().
		WithCapabilities(capabilities).
		WithSchemas(schemas).
		WithPathConflictsCheck(func(path []string) (bool, error) { return hasPath(data, path), nil }).
		SetErrorLimit(maxCompileMistakes)
	if compiler.Compile(modules); compiler.Failed() {
		return nil, compiler.Errors
	}
	if errs := undefinedRules(request.Modules, compiler); len(errs) > 0 {
		return nil, errs
	}
	build := compile.New().
		WithBundle(b).
		WithTarget(compile.TargetPlan).
		WithEntrypoints(request.Entrypoints...).
		WithPruneUnused(true).
		WithCapabilities(capabilities).
		WithRegoVersion(version)
	if err := build.Build(context.Background()); err != nil {
		return nil, err
	}
	plans := build.Bundle().PlanModules
	if len(plans) != 1 {
		return nil, fmt.Errorf("the compiler made %d plans instead of one", len(plans))
	}
	return plans[0].Raw, nil
}

func hasPath(data map[string]any, path []string) bool {
	for i, name := range path {
		value, ok := data[name]
		if !ok {
			return false
		}
		below, ok := value.(map[string]any)
		if !ok {
			return true
		}
		data = below
		if i == len(path)-1 {
			return true
		}
	}
	return false
}

// functions knows which builtin functions may be used, and why others may not.
type functions struct {
	capabilities *ast.Capabilities
	refused      map[string]string
	all          map[string]bool
}

func newFunctions(version ast.RegoVersion, refused map[string]string, supported []string) *functions {
	f := &functions{
		capabilities: ast.CapabilitiesForThisVersion(ast.CapabilitiesRegoVersion(version)),
		refused:      refused,
		all:          map[string]bool{},
	}
	f.capabilities.AllowNet = []string{} // none: nil would mean all
	has := map[string]bool{}
	for _, name := range supported {
		has[name] = true
	}
	kept := f.capabilities.Builtins[:0:0]
	for _, builtin := range f.capabilities.Builtins {
		f.all[builtin.Name] = true
		if _, no := refused[builtin.Name]; no {
			continue
		}
		// What has no name to call it by, operators and the like, is the planner's business.
		if len(has) == 0 || has[builtin.Name] || builtin.Infix != "" || strings.HasPrefix(builtin.Name, "internal.") || builtin.Name == ast.Print.Name {
			kept = append(kept, builtin)
		}
	}
	f.capabilities.Builtins = kept
	return f
}

func (f *functions) mistakesOf(err error) []mistake {
	var many ast.Errors
	var one *ast.Error
	switch {
	case errors.As(err, &many):
	case errors.As(err, &one):
		many = ast.Errors{one}
	default:
		return []mistake{{Code: "plan_error", Message: err.Error()}}
	}
	mistakes := make([]mistake, 0, len(many))
	for _, each := range many {
		made := mistake{Code: each.Code, Message: each.Message}
		if each.Location != nil {
			made.File, made.Row, made.Col = each.Location.File, each.Location.Row, each.Location.Col
		}
		if name, ok := strings.CutPrefix(each.Message, "undefined function "); ok && f.all[name] {
			if why, no := f.refused[name]; no {
				made.Code, made.Message = "function_refused", name+" is refused: "+why
			} else {
				made.Code, made.Message = "function_unsupported", name+" is a function of OPA that is not supported yet"
			}
		}
		if each.Details != nil && each.Code != ast.ParseErr {
			made.Message += detailsOf(each.Details.Lines())
		}
		mistakes = append(mistakes, made)
	}
	return mistakes
}

// detailsOf joins OPA's details, without the marks that only make sense on lines of their own.
func detailsOf(lines []string) string {
	var kept []string
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if strings.Trim(line, "^") == "" {
			kept = kept[:max(len(kept)-1, 0)]
			continue
		}
		kept = append(kept, line)
	}
	if len(kept) == 0 {
		return ""
	}
	return "; " + strings.Join(kept, "; ")
}

func firstMistakes(mistakes []mistake) []mistake {
	sort.SliceStable(mistakes, func(i, j int) bool {
		a, b := mistakes[i], mistakes[j]
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Row != b.Row {
			return a.Row < b.Row
		}
		return a.Col < b.Col
	})
	return mistakes[:min(len(mistakes), maxCompileMistakes)]
}
