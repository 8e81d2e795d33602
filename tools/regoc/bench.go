package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"sort"
	"syscall"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown/cache"
)

// runBench times OPA's prepared query as `opa bench` does: input parsed beforehand, the result's
// conversion to JSON left out. The inputs are asked in turn. Prints one JSON object.
func runBench(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	path := flags.String("bundle", "", "bundle file or folder")
	inputsPath := flags.String("inputs", "", "file with one input on each line")
	seconds := flags.Float64("seconds", 3, "length of a run")
	runs := flags.Int("runs", 3, "number of runs; the median is reported")
	readAST := flags.Bool("read-ast", false, "OPA's --optimize-store-for-read-speed")
	question := flags.String("query", defaultQuery, "query")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *runs < 1 || *seconds <= 0 {
		return errors.New("--runs and --seconds must be above zero")
	}
	inputs, err := readInputs(*inputsPath)
	if err != nil {
		return err
	}
	lib := &library{query: *question, readAST: *readAST, noResult: true, prepared: map[string]*rego.PreparedEvalQuery{}}
	query, err := lib.load(*path)
	if err != nil {
		return err
	}
	// As OPA's server has it, and with the cache of verified tokens on, which is off by default.
	caching, err := cache.ParseCachingConfig([]byte(
		`{"inter_query_builtin_value_cache":{"named":{"io_jwt":{"max_num_entries":1024}}}}`))
	if err != nil {
		return err
	}
	kept := rego.EvalInterQueryBuiltinValueCache(cache.NewInterQueryValueCache(context.Background(), caching))
	results := make([]benchRun, 0, *runs)
	for range *runs {
		result, err := timeQuery(query, kept, inputs, time.Duration(*seconds*float64(time.Second)))
		if err != nil {
			return err
		}
		results = append(results, result)
	}
	sort.Slice(results, func(i, j int) bool { return results[i].nanoseconds < results[j].nanoseconds })
	median := results[len(results)/2]
	_, err = fmt.Fprintf(out, `{"engine":"opa","version":"1.22.2","ns_per_decision":%.0f,"cpu_ns":%.0f,"allocations_per_decision":%.0f,"decisions":%d,"runs":%d}`+"\n",
		median.nanoseconds, median.cpu, median.allocations, median.decisions, *runs)
	return err
}

type benchRun struct {
	nanoseconds, allocations float64
	cpu                      float64 // nanoseconds of all threads: the collector's count too
	decisions                int
}

func timeQuery(query *rego.PreparedEvalQuery, kept rego.EvalOption, inputs []ast.Value, length time.Duration) (benchRun, error) {
	ctx := context.Background()
	ask := func(i int) error {
		results, err := query.Eval(ctx, rego.EvalParsedInput(inputs[i%len(inputs)]), kept)
		if err == nil && len(results) == 0 {
			err = fmt.Errorf("input %d has no decision", i%len(inputs)+1)
		}
		return err
	}
	// Warm up, and see that every input is answered.
	for i, start := 0, time.Now(); i < len(inputs) || (i < 2000 && time.Since(start) < length/2); i++ {
		if err := ask(i); err != nil {
			return benchRun{}, err
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	cpuStart := cpuTime()
	done := 0
	for time.Since(start) < length {
		for range 20 {
			if err := ask(done); err != nil {
				return benchRun{}, err
			}
			done++
		}
	}
	cpu := cpuTime() - cpuStart
	elapsed := time.Since(start)
	runtime.ReadMemStats(&after)
	return benchRun{
		nanoseconds: float64(elapsed.Nanoseconds()) / float64(done),
		cpu:         float64(cpu.Nanoseconds()) / float64(done),
		allocations: float64(after.Mallocs-before.Mallocs) / float64(done),
		decisions:   done,
	}, nil
}

// cpuTime is what the process has used, of user and system time.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func readInputs(path string) ([]ast.Value, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var inputs []ast.Value
	for i, line := range bytes.Split(content, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		input, err := parseInput(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
		}
		inputs = append(inputs, input)
	}
	if len(inputs) == 0 {
		return nil, fmt.Errorf("there is no input in %s", path)
	}
	return inputs, nil
}
