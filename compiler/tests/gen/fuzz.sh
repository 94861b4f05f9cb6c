#!/usr/bin/env bash
# Random graphs through the compiler, compared with ONNX Runtime bit for bit.
# usage: fuzz.sh DIR COUNT [SEED [SUBJECT]]; failing graphs are left in DIR/failures, see also fuzz_shrink.py
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 2 ] || { sed -n 2,3p "$0" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
python3 "$here/fuzz_graphs.py" "$out" "${@:2}"
cd "$here/../../.."
VINFER_GRAPHS="$out" cargo test --release --locked -p vinfer-compiler --test differential >"$out/test.log" 2>&1 ||
    [ -s "$out/report.txt" ] || { tail -n 40 "$out/test.log" >&2; exit 2; }
python3 "$here/fuzz_summary.py" "$out"
