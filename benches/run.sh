#!/usr/bin/env bash
# Side by side with DuckDB on TPC-H: whole processes, engines in turn, the minimum of the runs.
# usage: run.sh FOLDER_OF_THE_BINARY [SCALE, 1 or 10] [RUNS]
# Quote the ratios, not the seconds.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$(cd "$1" && pwd)
data=$("$here/setup.sh")
PATH=$data/peers/bin:$binary:$PATH "$here/compare.py" --data "$data/tpch${2:-1}" \
  --queries "$here/../queries/tpch" --engines duckdb2,query --runs "${3:-3}"
