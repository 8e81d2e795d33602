package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

const module = `package aegis

decision := {"outcome": data.aegis.answer, "given": input.value}
`

// bundleFolder lays out an unsigned bundle.
func bundleFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func exampleBundle(t *testing.T) string {
	return bundleFolder(t, map[string]string{
		"decision.rego": module,
		"data.json":     `{"aegis":{"answer":"deny"}}`,
		".manifest":     `{"roots":["aegis"]}`,
	})
}

func TestOracleAnswersEachLine(t *testing.T) {
	bundle := exampleBundle(t)
	cases := []struct{ name, input, want string }{
		{"numbers keep their digits", `{"value":[1.0,0.10,1E400,-0]}`, `{"given":[1.0,0.10,1E400,-0],"outcome":"deny"}`},
		{"text", `{"value":"\u0001\u2028<é😀\"\\"}`, "{\"given\":\"\\u0001\u2028<é😀\\\"\\\\\",\"outcome\":\"deny\"}"},
		{"sorted keys", `{"value":{"b":null,"a":true}}`, `{"given":{"a":true,"b":null},"outcome":"deny"}`},
		{"undefined", `{}`, `{"undefined":true}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			line, _ := json.Marshal(bundle)
			in := `{"bundle":` + string(line) + `,"input":` + c.input + "}\n"
			var out bytes.Buffer
			if err := runOracle(nil, strings.NewReader(in), &out); err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSuffix(out.String(), "\n"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestOracleReportsErrorsOnTheirLine(t *testing.T) {
	in := "{\"bundle\":\"/nowhere\",\"input\":{}}\nnot json\n"
	var out bytes.Buffer
	if err := runOracle(nil, strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], `{"error":"bundle:`) || !strings.HasPrefix(lines[1], `{"error":"the line is not`) {
		t.Errorf("got %q", lines)
	}
}

func TestOracleRefusesUnsignedBundlesWhenItHasAKey(t *testing.T) {
	line, _ := json.Marshal(exampleBundle(t))
	in := `{"bundle":` + string(line) + `,"input":{"value":1}}`
	var out bytes.Buffer
	if err := runOracle([]string{"--key", "secret", "--alg", "HS256"}, strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `"error":"bundle: `) {
		t.Errorf("got %s", out.String())
	}
}

func TestPlanIsDeterministicAndLeavesTestsOut(t *testing.T) {
	folder := bundleFolder(t, map[string]string{
		"decision.rego":      module,
		"decision_test.rego": "package aegis_test\n\ntest_nothing if true\n",
	})
	first, err := planFolder(folder, defaultEntrypoint)
	if err != nil {
		t.Fatal(err)
	}
	second, err := planFolder(folder, defaultEntrypoint)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("two plans of the same files differ")
	}
	if bytes.Contains(first, []byte("_test")) || bytes.Contains(first, []byte(folder)) {
		t.Error("the plan names a test or the folder")
	}
	if !bytes.Contains(first, []byte(defaultEntrypoint)) {
		t.Error("the plan does not name its entrypoint")
	}
}

func TestPlanRefusesAFolderWithoutRego(t *testing.T) {
	if _, err := planFolder(t.TempDir(), defaultEntrypoint); err == nil {
		t.Error("no error")
	}
}

func TestBenchPrintsOneObject(t *testing.T) {
	inputs := filepath.Join(t.TempDir(), "inputs.jsonl")
	if err := os.WriteFile(inputs, []byte("{\"value\":1}\n\n{\"value\":2}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err := runBench([]string{"--bundle", exampleBundle(t), "--inputs", inputs, "--seconds", "0.01", "--runs", "1"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	var result struct {
		Nanoseconds float64 `json:"ns_per_decision"`
	}
	if err := json.Unmarshal(out.Bytes(), &result); err != nil || result.Nanoseconds <= 0 {
		t.Errorf("got %s (%v)", out.String(), err)
	}
}

func TestCasesKeepTermsThatJSONHasNot(t *testing.T) {
	for _, c := range []struct{ term, want string }{
		{`{"a": {1, "x"}, 2: [null, set()]}`,
			`{"object":[[2,{"array":[null,{"set":[]}]}],["a",{"set":[1,"x"]}]]}`},
		{`1e3`, `1e3`},
	} {
		got, err := tagged(ast.MustParseTerm(c.term))
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := json.Marshal(got); string(text) != c.want {
			t.Errorf("%s: got %s, want %s", c.term, text, c.want)
		}
	}
	if _, err := tagged(ast.MustParseTerm(`input.x`)); err == nil {
		t.Error("a reference was taken for a value")
	}
}
