#!/usr/bin/env bash
# What the scheduler costs (against DataFusion's own streams, and a task against Dask's), and TPC-H side by side with
# DuckDB: whole processes, in turn. Quote the ratios, not the seconds.
# usage: run.sh FOLDER_OF_THE_BINARY [SCALE, 1 or 10] [RUNS]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$(cd "$1" && pwd)
data=$("$here/setup.sh")
"$data/peers/bin/python" "$here/tasks.py"
"$here/engines.py" --query "$binary/query" --data "$data/tpch${2:-1}" --bound 1.02
PATH=$data/peers/bin:$binary:$PATH "$here/compare.py" --data "$data/tpch${2:-1}" \
  --queries "$here/../queries/tpch" --engines duckdb2,query --runs "${3:-3}"
