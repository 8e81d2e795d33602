package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// ask gives the plan, or the mistakes as "file:row:col: code: message".
func ask(t *testing.T, request compileRequest) (plan string, mistakes []string) {
	t.Helper()
	request.Format = compileFormat
	text, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = runCompile(nil, bytes.NewReader(text), &out)
	if err == nil {
		return out.String(), nil
	}
	if !errors.Is(err, errMistakes) {
		t.Fatal(err)
	}
	var answer struct{ Errors []mistake }
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	for _, each := range answer.Errors {
		mistakes = append(mistakes, fmt.Sprintf("%s:%d:%d: %s: %s", each.File, each.Row, each.Col, each.Code, each.Message))
	}
	return "", mistakes
}

// decides is what stands in for the dialect's own modules.
var decides = compileModule{Name: "decision.rego", Text: "package aegis\n\ndecision := data.aegis.custom.extra.deny\n"}

func custom(text string) compileRequest {
	return compileRequest{
		Modules:     []compileModule{decides, {Name: "extra.rego", Text: text, Custom: "extra"}},
		Entrypoints: []string{"aegis/decision"},
		RegoVersion: 1,
	}
}

func TestCompileMakesAPlan(t *testing.T) {
	plan, mistakes := ask(t, custom("package aegis.custom.extra\n\ndeny contains \"é\" if input.params.x > limit\n\nlimit := 5\n"))
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	var made struct {
		Static struct{ Strings []struct{ Value string } }
		Plans  struct{ Plans []struct{ Name string } }
	}
	if err := json.Unmarshal([]byte(plan), &made); err != nil {
		t.Fatal(err)
	}
	if len(made.Plans.Plans) != 1 || made.Plans.Plans[0].Name != "aegis/decision" {
		t.Errorf("plans: %v", made.Plans.Plans)
	}
}

func TestCustomRegoMay(t *testing.T) {
	for _, text := range []string{
		"deny contains msg if { msg := sprintf(\"%v\", [input.params.amount]) }",
		"import rego.v1\nimport input.params as p\ndeny contains {\"message\": \"m\"} if p.x",
		"import data.aegis.custom.extra as self\ndeny contains 1 if self.f(2)\nf(x) if x > 1",
		"deny contains 1 if input.x with input as {\"x\": 1}",
		"import data.aegis.custom.extra\ndeny contains 1 if extra.limits.a > input.params.n\nlimits.a := 1\nlimits.b := 2",
		"deny contains 1 if extra_.x\nextra_ := data.aegis.custom.extra.limits[input.tool]\nlimits := {\"a\": {\"x\": 1}}",
		"deny contains 1 if allow\nallow if input.params.x == data.aegis.custom.extra.y\ny := 2",
		"deny contains 1 if { data_ := 1; data_ == input.params.data }",
		"deny contains 1 if { \"a\" in input.params.list; 1, 2 in [0, 2]; some k, v in [1]; every x in [k] { x > v } }",
		"deny contains $\"{input.tool} {1 in [1]}\" if print(input.tool)",
	} {
		if _, mistakes := ask(t, custom("package aegis.custom.extra\n"+text+"\n")); len(mistakes) > 0 {
			t.Errorf("%s\n%v", text, mistakes)
		}
	}
}

func TestCustomRegoMayNot(t *testing.T) {
	const hidden = "is not for custom Rego; it sees 'input' and data.aegis.custom.NAME"
	cases := []struct{ name, text, want string }{
		{"syntax", "package aegis.custom.extra\n\ndeny contains if {", "extra.rego:3:15: rego_parse_error: unexpected if keyword"},
		{"nothing", "", "extra.rego:0:0: rego_parse_error: empty module"},
		{"another package", "package aegis\n\ndecision := 1", "extra.rego:1:1: custom_rego: the package of this file must be aegis.custom.extra, found aegis"},
		{"a package below", "package aegis.custom.extra.more\n\ndeny contains 1", "extra.rego:1:1: custom_rego: the package of this file must be"},
		{"a neighbour", "package aegis.custom.other\n\ndeny contains 1", "extra.rego:1:1: custom_rego: the package of this file must be"},
		{"the tables", "package aegis.custom.extra\n\ndeny contains 1 if data.aegis.grants[0]", "extra.rego:3:20: custom_rego: data.aegis.grants[0] " + hidden},
		{"all of data", "package aegis.custom.extra\n\ndeny contains data", "extra.rego:3:15: custom_rego: data " + hidden},
		{"a walk", "package aegis.custom.extra\n\ndeny contains 1 if walk(data, [_, 1])", "extra.rego:3:25: custom_rego: data " + hidden},
		{"a variable", "package aegis.custom.extra\n\ndeny contains 1 if {\n\tsome x\n\tdata.aegis.custom[x].deny\n}", "extra.rego:5:2: custom_rego: data.aegis.custom[x].deny " + hidden},
		{"all custom packages", "package aegis.custom.extra\n\ndeny contains x if some x in data.aegis.custom", "extra.rego:3:30: custom_rego: data.aegis.custom " + hidden},
		{"an import", "package aegis.custom.extra\n\nimport data.aegis.bodies as b\n\ndeny contains 1 if b[0]", "extra.rego:3:8: custom_rego: data.aegis.bodies " + hidden},
		{"import of data", "package aegis.custom.extra\n\nimport data as d\n\ndeny contains 1 if d.x", "extra.rego:3:8: custom_rego: data " + hidden},
		{"with on data", "package aegis.custom.extra\n\ndeny contains 1 if input.x with data.aegis.agents as {}", "extra.rego:3:33: custom_rego: data.aegis.agents " + hidden},
		{"with all of data", "package aegis.custom.extra\n\ndeny contains 1 if input.x with data as {}", "extra.rego:3:33: custom_rego: data " + hidden},
		{"http.send", "package aegis.custom.extra\n\ndeny contains 1 if http.send({\"method\": \"get\", \"url\": input.x}).status_code == 200", "extra.rego:3:20: function_refused: http.send is refused: it reaches other hosts"},
		{"names", "package aegis.custom.extra\n\ndeny contains x if {\n\tx := net.lookup_ip_addr(\"a\")\n}", "extra.rego:4:7: function_refused: net.lookup_ip_addr is refused"},
		{"environment", "package aegis.custom.extra\n\ndeny contains opa.runtime()", "function_refused: opa.runtime is refused"},
		{"chance", "package aegis.custom.extra\n\ndeny contains rand.intn(\"a\", 5)", "function_refused: rand.intn is refused"},
		{"chance by another name", "package aegis.custom.extra\n\ndeny contains 1 if count([1]) == 1 with count as rand.intn", "rego_unsafe_var_error: var rand is unsafe"},
		{"a function of the compiler", "package aegis.custom.extra\n\ndeny contains 1 if internal.print([{input.tool}])", "extra.rego:3:20: custom_rego: internal.print is a function of OPA's compiler, not for custom Rego"},
		{"membership as a function", "package aegis.custom.extra\n\ndeny contains 1 if {\n\tx := [internal.member_2(1, [1])]\n}", "extra.rego:4:8: custom_rego: internal.member_2 is a function"},
		{"a function of the compiler by with", "package aegis.custom.extra\n\ndeny contains 1 if count([1]) == 1 with count as internal.template_string", "extra.rego:3:50: custom_rego: internal.template_string is a function"},
		{"a function that is not there", "package aegis.custom.extra\n\ndeny contains nothing.at_all(1)", "rego_type_error: undefined function nothing.at_all"},
		{"a slip in the input", "package aegis.custom.extra\n\ndeny contains 1 if input.parmas.amount > 1", "extra.rego:3:20: rego_type_error: undefined ref: input.parmas.amount; have: \"parmas\"; want (one of): [\"action\""},
		{"a slip below the input", "package aegis.custom.extra\n\ndeny contains 1 if input.agent.name == \"a\"", "extra.rego:3:20: rego_type_error: undefined ref: input.agent.name; have: \"name\"; want (one of): [\"id\" \"labels\"]"},
		{"a slip in a link", "package aegis.custom.extra\n\ndeny contains 1 if {\n\tsome link in input.chain\n\tlink.name == \"a\"\n}", "extra.rego:5:2: rego_type_error: undefined ref: link.name"},
		{"a package that is not listed", "package aegis.custom.extra\n\ndeny contains 1 if data.aegis.custom.lib.x", "extra.rego:3:20: custom_rego: there is no package aegis.custom.lib; list its file lib.rego too"},
		{"a rule that is not there", "package aegis.custom.extra\n\ndeny contains 1 if data.aegis.custom.extra.limmit > 1", "extra.rego:3:20: custom_rego: there is no rule aegis.custom.extra.limmit"},
		{"a rule that is not there, by an import", "package aegis.custom.extra\n\nimport data.aegis.custom.extra as self\n\ndeny contains 1 if self.limmit > 1", "extra.rego:5:20: custom_rego: there is no rule aegis.custom.extra.limmit"},
		{"types", "package aegis.custom.extra\n\ndeny contains 1 if \"a\" == 1", "extra.rego:3:20: rego_type_error: match error"},
		{"unsafe", "package aegis.custom.extra\n\ndeny contains x if y > 1", "rego_unsafe_var_error: var x is unsafe"},
		{"recursion", "package aegis.custom.extra\n\ndeny contains 1 if f(1)\n\nf(x) if f(x)", "extra.rego:5:1: rego_recursion_error"},
		{"later rules", "package aegis.custom.extra\n\ndeny contains 1\n\napproval contains 1 if input.x", "extra.rego:5:1: custom_rego: the rule 'approval' is not supported yet; remove it"},
		{"later rules with a path", "package aegis.custom.extra\n\ndeny contains 1\n\nsanitize.x := 1", "extra.rego:5:1: custom_rego: the rule 'sanitize' is not supported yet; remove it"},
		{"deny as a value", "package aegis.custom.extra\n\ndeny := true if input.x", "extra.rego:3:1: custom_rego: the rule 'deny' must be a set of messages"},
		{"deny as an object", "package aegis.custom.extra\n\ndeny[msg] := 1 if msg := \"a\"", "extra.rego:3:1: custom_rego: the rule 'deny' must be a set of messages"},
		{"deny as a function", "package aegis.custom.extra\n\ndeny(x) := x", "extra.rego:3:1: custom_rego: the rule 'deny' must be a set of messages"},
		{"deny with a path", "package aegis.custom.extra\n\ndeny.x contains 1", "extra.rego:3:1: custom_rego: the rule 'deny' must be a set of messages"},
		{"no deny", "package aegis.custom.extra\n\ndenny contains 1", "extra.rego:1:1: custom_rego: package aegis.custom.extra has no rule 'deny'"},
		{"a schema from elsewhere", "package aegis.custom.extra\n\n# METADATA\n# schemas:\n#   - input: {\"$ref\": \"http://127.0.0.1:1/x\"}\ndeny contains 1 if input.x", "extra.rego:3:1: custom_rego: annotations with schemas or entrypoint are not allowed here"},
		{"an entrypoint", "package aegis.custom.extra\n\n# METADATA\n# entrypoint: true\ndeny contains 1 if input.x", "extra.rego:3:1: custom_rego: annotations with schemas or entrypoint are not allowed here"},
		{"deep", "package aegis.custom.extra\n\ndeny contains " + strings.Repeat("[", 200_000), "rego_parse_error"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			plan, mistakes := ask(t, custom(c.text))
			if plan != "" {
				t.Fatalf("a plan was made: %.200s", plan)
			}
			for _, mistake := range mistakes {
				if strings.Contains(mistake, c.want) {
					return
				}
			}
			t.Errorf("got  %v\nwant %s", mistakes, c.want)
		})
	}
}

func TestAllMistakesComeAtOnce(t *testing.T) {
	var text strings.Builder
	text.WriteString("package aegis.custom.extra\n")
	for i := range 300 {
		fmt.Fprintf(&text, "deny contains %d if data.x\n", i)
	}
	_, mistakes := ask(t, custom(text.String()))
	if len(mistakes) != maxCompileMistakes || !strings.HasPrefix(mistakes[1], "extra.rego:3:") {
		t.Errorf("%d mistakes, the second %s", len(mistakes), mistakes[1])
	}
}

func TestAHelperNeedsNoDeny(t *testing.T) {
	request := custom("package aegis.custom.extra\n\ndeny contains 1 if data.aegis.custom.lib.big(input.params.x)\n")
	request.Modules = append(request.Modules, compileModule{Name: "lib.rego", Custom: "lib", Text: "package aegis.custom.lib\n\nbig(x) if x > 5\n"})
	if _, mistakes := ask(t, request); len(mistakes) > 0 {
		t.Error(mistakes)
	}
}

func TestCompileOfWholeBundles(t *testing.T) {
	request := compileRequest{
		Modules:     []compileModule{{Name: "p.rego", Text: "package p\n\nanswer := data.n\n"}},
		Entrypoints: []string{"p/answer"},
		Data:        json.RawMessage(`{"n":1}`),
		RegoVersion: 1,
	}
	if _, mistakes := ask(t, request); len(mistakes) > 0 {
		t.Error(mistakes)
	}
	request.Data = json.RawMessage(`{"p":{"answer":1}}`)
	if _, mistakes := ask(t, request); len(mistakes) != 1 || !strings.Contains(mistakes[0], "p.rego:3:1: rego_compile_error: conflict") {
		t.Error(mistakes)
	}
	request.Data, request.Entrypoints = nil, []string{"p/nothing"}
	if _, mistakes := ask(t, request); len(mistakes) != 1 || !strings.Contains(mistakes[0], `entrypoint "p/nothing" does not refer to a rule`) {
		t.Error(mistakes)
	}
	request.Entrypoints, request.RegoVersion = []string{"p/answer"}, 0
	request.Modules[0].Text = "package p\n\nanswer[x] { x := 1 }\n"
	if _, mistakes := ask(t, request); len(mistakes) > 0 {
		t.Error(mistakes)
	}
}

func TestFunctionsThatTheEngineLacks(t *testing.T) {
	request := custom("package aegis.custom.extra\n\ndeny contains 1 if count(units.parse_bytes(\"1\")) > 1\n")
	request.Functions = []string{"count", "eq", "gt"}
	_, mistakes := ask(t, request)
	if len(mistakes) == 0 || mistakes[0] != "extra.rego:3:26: function_unsupported: units.parse_bytes is a function of OPA that is not supported yet" {
		t.Error(mistakes)
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	for _, text := range []string{"", "{}", `{"format":2}`, `{"format":1,"modules":5}`, "[]", "{\"format\":1,\"modules\":[{\"text\":\"\xff\"}]}"} {
		var out bytes.Buffer
		if err := runCompile(nil, strings.NewReader(text), &out); err == nil || errors.Is(err, errMistakes) || out.Len() > 0 {
			t.Errorf("%q: %v %s", text, err, out.String())
		}
	}
}
