package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// What custom Rego of the dialect may be: one package aegis.custom.X a file, that looks at the input
// and at other such packages, and whose set `deny` adds reasons to refuse a call. It cannot see or
// change anything of the dialect's own rules and tables.

// customRoot begins the path of every package of custom Rego.
var customRoot = ast.MustParseRef("data.aegis.custom")

// Names of rules that will mean something one day.
var laterRules = map[string]bool{"approval": true, "sanitize": true}

// inputSchema is what the decision engine puts into `input` (src/aegis/decision/input.cc): a name that
// is not there is a slip that would make a rule silently never hold.
const inputSchema = `{
	"type": "object", "additionalProperties": false,
	"properties": {
		"action": {"type": "string"},
		"agent": {"type": "object", "additionalProperties": false, "properties": {
			"id": {"type": "string"},
			"labels": {"type": "object", "additionalProperties": {"type": "string"}}}},
		"chain": {"type": "array", "items": {"type": "object", "additionalProperties": false, "properties": {
			"id": {"type": "string"}, "type": {"type": "string"}}}},
		"door": {"type": "string"},
		"org": {"type": "string"},
		"params": {"type": "object", "additionalProperties": true},
		"request": {"type": "object", "additionalProperties": false, "properties": {
			"headers": {"type": "object", "additionalProperties": {"type": "string"}},
			"host": {"type": "string"}, "method": {"type": "string"}, "path": {"type": "string"}}},
		"session": {"type": "object", "additionalProperties": false, "properties": {"id": {"type": "string"}}},
		"tenant": {"type": "string"},
		"time": {"type": "object", "additionalProperties": false, "properties": {
			"local": {"type": "string"}, "unix_ns": {"type": "integer"}, "weekday": {"type": "string"}}},
		"tool": {"type": "string"}}}`

// customSchemas makes OPA's type checker look at references to the input, where there is custom Rego.
func customSchemas(modules []compileModule) (*ast.SchemaSet, error) {
	for _, module := range modules {
		if module.Custom == "" {
			continue
		}
		var schema any
		if err := json.Unmarshal([]byte(inputSchema), &schema); err != nil {
			return nil, err
		}
		schemas := ast.NewSchemaSet()
		schemas.Put(ast.SchemaRootRef, schema)
		return schemas, nil
	}
	return nil, nil
}

type customChecker struct {
	mistakes []mistake
	used     map[string]bool // packages that another one refers to
	packages map[string]bool
}

// checkCustom gives all that is wrong with the modules that are custom Rego.
func checkCustom(modules []compileModule, parsed []*ast.Module) []mistake {
	checker := &customChecker{used: map[string]bool{}, packages: map[string]bool{}}
	for _, module := range modules {
		checker.packages[module.Custom] = module.Custom != ""
	}
	for i, module := range modules {
		if module.Custom != "" {
			checker.checkModule(module, parsed[i])
		}
	}
	for i, module := range modules {
		if module.Custom == "" || checker.used[module.Custom] || hasRule(parsed[i], "deny") {
			continue
		}
		checker.add(parsed[i].Package.Loc(), module.Name, fmt.Sprintf("package aegis.custom.%s has no rule 'deny' and no other package uses it; write: deny contains message if { … }", module.Custom))
	}
	return checker.mistakes
}

func (c *customChecker) add(at *ast.Location, file, message string) {
	made := mistake{Code: "custom_rego", Message: message, File: file}
	if at != nil {
		made.Row, made.Col = at.Row, at.Col
	}
	c.mistakes = append(c.mistakes, made)
}

func (c *customChecker) checkModule(module compileModule, parsed *ast.Module) {
	path := parsed.Package.Path
	if !path.Equal(customRoot.Append(ast.StringTerm(module.Custom))) {
		c.add(parsed.Package.Loc(), module.Name, fmt.Sprintf("the package of this file must be aegis.custom.%s, found %s", module.Custom, strings.TrimPrefix(path.String(), "data.")))
	}
	for _, annotation := range parsed.Annotations {
		if len(annotation.Schemas) > 0 || annotation.Entrypoint {
			c.add(annotation.Loc(), module.Name, "annotations with schemas or entrypoint are not allowed here")
		}
	}
	parsed.Annotations = nil
	for _, rule := range parsed.Rules {
		rule.Annotations = nil
		c.checkRule(module.Name, rule)
	}
	var visitor *ast.GenericVisitor
	visitor = ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.Package:
			return true
		case *ast.Term:
			switch value := x.Value.(type) {
			case ast.Ref:
				c.checkRef(module, value, x.Loc())
				c.checkFunction(module, value, x.Loc())
				if !value[0].Equal(ast.DefaultRootDocument) {
					return false
				}
				for _, part := range value[1:] {
					visitor.Walk(part)
				}
				return true
			case ast.Var:
				if x.Equal(ast.DefaultRootDocument) {
					c.checkRef(module, ast.Ref{x}, x.Loc())
				}
			}
		}
		return false
	})
	visitor.Walk(parsed)
}

func (c *customChecker) checkRule(file string, rule *ast.Rule) {
	head := rule.Head
	name := string(head.Ref()[0].Value.(ast.Var))
	if laterRules[name] {
		c.add(rule.Loc(), file, fmt.Sprintf("the rule '%s' is not supported yet; remove it", name))
	}
	if name != "deny" {
		return
	}
	set := head.RuleKind() == ast.MultiValue && len(head.Ref()) == 1 && len(head.Args) == 0 && !rule.Default
	if !set {
		c.add(rule.Loc(), file, "the rule 'deny' must be a set of messages; write: deny contains message if { … }")
	}
}

// checkRef: of data only the packages of custom Rego may be looked at, each by its name.
func (c *customChecker) checkRef(module compileModule, ref ast.Ref, at *ast.Location) {
	if len(ref) == 0 || !ref[0].Equal(ast.DefaultRootDocument) {
		return
	}
	if ref.HasPrefix(customRoot) && len(ref) > len(customRoot) {
		if name, ok := ref[len(customRoot)].Value.(ast.String); ok {
			if !c.packages[string(name)] {
				c.add(at, module.Name, fmt.Sprintf("there is no package aegis.custom.%s; list its file %s.rego too", string(name), string(name)))
			}
			if string(name) != module.Custom {
				c.used[string(name)] = true
			}
			return
		}
	}
	c.add(at, module.Name, fmt.Sprintf("%s is not for custom Rego; it sees 'input' and data.aegis.custom.NAME", shortRef(ref)))
}

// checkFunction: what OPA makes of other Rego, print of its compiler among it, is not for people to
// call, and here nothing would have looked at it. An operator ('in') is such a function from the start.
func (c *customChecker) checkFunction(module compileModule, ref ast.Ref, at *ast.Location) {
	name := ref.String()
	if !strings.HasPrefix(name, "internal.") || ast.BuiltinMap[name] == nil || at != nil && string(at.Text) == "in" {
		return
	}
	c.add(at, module.Name, fmt.Sprintf("%s is a function of OPA's compiler, not for custom Rego", name))
}

// undefinedRules: references of custom Rego to rules that its packages do not have. To OPA they are
// merely undefined, since data could be there; here none can.
func undefinedRules(modules []compileModule, compiler *ast.Compiler) ast.Errors {
	var errs ast.Errors
	for _, module := range modules {
		if module.Custom == "" {
			continue
		}
		ast.WalkTerms(compiler.Modules[module.Name], func(term *ast.Term) bool {
			ref, ok := term.Value.(ast.Ref)
			if !ok || !ref.HasPrefix(customRoot) || len(ref) < len(customRoot)+2 {
				return false
			}
			if rule := ref[:len(customRoot)+2]; rule.IsGround() && len(compiler.GetRulesForVirtualDocument(rule)) == 0 && len(compiler.GetRulesWithPrefix(rule)) == 0 {
				errs = append(errs, ast.NewError("custom_rego", term.Loc(), "there is no rule %s", strings.TrimPrefix(rule.String(), "data.")))
			}
			return false
		})
	}
	return errs
}

func shortRef(ref ast.Ref) string {
	text := ref.String()
	if len(text) > 80 {
		return "this part of data"
	}
	return text
}

func hasRule(module *ast.Module, name string) bool {
	for _, rule := range module.Rules {
		if rule.Head.Ref()[0].Value.Compare(ast.Var(name)) == 0 {
			return true
		}
	}
	return false
}
