#!/usr/bin/env bash
# Builds the fuzz targets (libFuzzer, address+undefined sanitizers) and runs each for FUZZ_SECONDS
# (default 60), two at a time where there are cores.
#   fuzz/run.sh                      all targets
#   TARGETS='json jwt' fuzz/run.sh   some
#   fuzz/run.sh --replay             only runs what is in the corpora, once: a quick regression test
#
# Seeds are fuzz/corpus/NAME (in the repository); what a run finds goes to build/fuzz-corpus/NAME, and
# what crashes to build/fuzz-findings/NAME. A finding fails the run.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/env.sh"
cd "$AEGIS_ROOT"
JOBS=${JOBS:-$(nproc)}
FUZZ_SECONDS=${FUZZ_SECONDS:-60}
export NINJA_STATUS='[%f/%t, %es] '
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
symbolizer=$(command -v llvm-symbolizer-19 || command -v llvm-symbolizer || true)
if [ -n "$symbolizer" ]; then export ASAN_SYMBOLIZER_PATH=$symbolizer; fi

scripts/build go
cmake --preset fuzz >build/logs/cmake-fuzz.log 2>&1 || {
  tail -n 30 build/logs/cmake-fuzz.log >&2
  die 'CMake could not configure the fuzz build'
}
mapfile -t all < <(sed -n 's/^ *aegis_fuzz(\([a-z0-9_]*\).*/\1/p' fuzz/CMakeLists.txt)
[ ${#all[@]} -gt 0 ] || die 'there is no fuzz target' 'They are declared by aegis_fuzz in fuzz/CMakeLists.txt.'
read -ra targets <<<"${TARGETS:-${all[*]}}"
for name in "${targets[@]}"; do
  printf '%s\n' "${all[@]}" | grep -qxF "$name" || die "no fuzz target $name" "There are: ${all[*]}"
done
ninja -C build/fuzz -j "$JOBS" "${targets[@]/%/_fuzz}"

fuzz_one() { # NAME
  local name=$1 seeds=fuzz/corpus/$1 found=build/fuzz-corpus/$1 findings=build/fuzz-findings/$1
  local log=build/logs/fuzz-$1.log binary options=()
  mkdir -p "$found" "$findings"
  binary=$(find build/fuzz -type f -name "${name}_fuzz" -perm -u+x | head -n 1)
  local corpora=("$found")
  if [ -d "$seeds" ]; then corpora+=("$seeds"); fi
  if [ -f "fuzz/$name.dict" ]; then options+=("-dict=fuzz/$name.dict"); fi
  if [ "$replay" = true ]; then options+=(-runs=0); else options+=("-max_total_time=$FUZZ_SECONDS"); fi
  if "$binary" "${corpora[@]}" "${options[@]}" -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
    -print_final_stats=1 -artifact_prefix="$findings/" >"$log" 2>&1 </dev/null; then
    local runs coverage
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    say "ok      $name: ${runs:-0} inputs, ${coverage:-0} places covered"
  else
    say "FINDING $name: see $log and $findings"
    tail -n 40 "$log" | sed 's/^/    /'
    return 1
  fi
}

replay=false
if [ "${1:-}" = --replay ]; then replay=true; fi
say "${#targets[@]} targets, $([ "$replay" = true ] && echo 'corpora once' || echo "$FUZZ_SECONDS s each"), $JOBS at a time"
failed=0
running=0
for name in "${targets[@]}"; do
  fuzz_one "$name" &
  running=$((running + 1))
  if [ "$running" -ge "$JOBS" ]; then
    wait -n || failed=$((failed + 1))
    running=$((running - 1))
  fi
done
while [ "$running" -gt 0 ]; do
  wait -n || failed=$((failed + 1))
  running=$((running - 1))
done
[ "$failed" -eq 0 ] || die "$failed of ${#targets[@]} fuzz targets have findings" \
  'Reproduce with: build/fuzz/.../NAME_fuzz build/fuzz-findings/NAME/FILE; then make it a unit test.'
say "no findings in ${#targets[@]} targets"
