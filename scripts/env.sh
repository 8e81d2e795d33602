# Sourced by every script: where the project keeps what it installs for itself, and how scripts speak.
# Nothing here installs or changes anything. `build/deps` holds tools (Go, the Python environment,
# programs taken out of Debian packages), `build/bin` the Go programs built from this repository.

AEGIS_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
AEGIS_DEPS=$AEGIS_ROOT/build/deps
export AEGIS_ROOT AEGIS_DEPS
PATH=$AEGIS_DEPS/venv/bin:$AEGIS_ROOT/build/bin:$AEGIS_DEPS/bin:$AEGIS_DEPS/go/bin:$PATH:/usr/sbin:/sbin
export PATH
# The toolchain is the one that scripts/setup checked: Go must not fetch another by itself.
export GOTOOLCHAIN=local
export LC_ALL=C.UTF-8
# Checkouts in different folders share what they compile.
export CCACHE_BASEDIR=$AEGIS_ROOT CCACHE_NOHASHDIR=1

say() { printf '[%s] %s\n' "$(basename "$0")" "$*"; }
die() {
  printf '[%s] error: %s\n' "$(basename "$0")" "$1" >&2
  shift
  local line
  for line in "$@"; do printf '    %s\n' "$line" >&2; done
  exit 1
}

# run_logged TITLE LOG COMMAND...: runs COMMAND with its output in LOG; says every 15 s that it is
# still at work and, when it fails, how the log ends.
run_logged() {
  local title=$1 log=$2
  shift 2
  mkdir -p "$(dirname "$log")"
  say "$title"
  local started=$SECONDS rc=0
  "$@" >"$log" 2>&1 </dev/null &
  local child=$! waited=0
  while kill -0 "$child" 2>/dev/null; do
    sleep 0.2
    waited=$((waited + 1))
    if [ $((waited % 75)) -eq 0 ]; then
      say "  $((SECONDS - started)) s: $(tail -n 1 "$log" | tr -d '\r' | cut -c1-100)"
    fi
  done
  wait "$child" || rc=$?
  if [ "$rc" -ne 0 ]; then
    printf '[%s] error: %s: exit code %s; the end of %s:\n' "$(basename "$0")" "$title" "$rc" "$log" >&2
    tail -n 25 "$log" | sed 's/^/    /' >&2
    return "$rc"
  fi
  if [ $((SECONDS - started)) -ge 2 ]; then say "  done in $((SECONDS - started)) s"; fi
}
