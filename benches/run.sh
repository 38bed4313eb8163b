#!/usr/bin/env bash
# What the scheduler costs (a task against Dask's, queries against DataFusion's own streams), what a second thread
# gives, what a shuffle holds, what progress says and costs, and TPC-H side by side with DuckDB: whole processes, in turn. Quote the ratios, not the
# seconds.
# usage: run.sh FOLDER_OF_THE_BINARY [RUNS] [PAIRS]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$(cd "$1" && pwd)
pairs=${3:-15}
data=$("$here/setup.sh")
"$data/peers/bin/python" "$here/tasks.py"
for scale in 1 10; do
  "$here/engines.py" --query "$binary/query" --data "$data/tpch$scale" --pairs "$pairs" --bound 1.02
done
"$here/engines.py" --query "$binary/query" --data "$data/tpcds1" --queries "$data/tpcds_queries" --pairs "$pairs" --bound 1.02
"$here/shuffle.py" "$binary/query"
# What several parts of a query read: computed once, against once for each.
not_shared=(--first "" --second "" --first-sql "SET query.optimizer.shared_stages = false;" --pairs "$pairs")
"$here/engines.py" --query "$binary/query" --data "$data/tpch1" "${not_shared[@]}" --only 15 --bound 0.75
"$here/engines.py" --query "$binary/query" --data "$data/tpcds1" --queries "$data/tpcds_queries" "${not_shared[@]}" \
  --only 4,11,23,64,74 --bound 0.75
"$here/engines.py" --query "$binary/query" --data "$data/tpcds1" --queries "$data/tpcds_queries" "${not_shared[@]}" --bound 1.0
# How far a statement is: what it says, and what saying it costs.
"$here/progress.py" --query "$binary/query" --data "$data/tpch10"
"$here/engines.py" --query "$binary/query" --data "$data/tpch10" --first "--progress off" --second "--progress on" \
  --only 9,18,21 --pairs "$pairs" --bound 1.01
PATH=$data/peers/bin:$binary:$PATH "$here/compare.py" --data "$data/tpch1" \
  --queries "$here/../queries/tpch" --engines duckdb2,query --runs "${2:-3}"
"$data/peers/bin/python" "$here/threads.py" --query "$binary/query" --data "$data/tpch1" --pairs 5 --bound 0.588
