#!/usr/bin/env python3
"""What a second thread gives: TPC-H with 1 thread and with 2, for `local`, for `stock` and for DuckDB, in turn; and what
it could give.

usage: threads.py --query BINARY --data FOLDER [--pairs 5] [--only 1,2] [--bound 0.588]

For each engine and query the geometric mean of the time with 2 threads over that with 1. It is the time of the query
alone, without the start of the process and the tables. A process runs the query several times in a row, and what is
shown is the least of the runs after the first, by which code, caches and memory are where they are wanted; `local`'s
first runs are told beside it. DuckDB is that of the Python that runs this. `ceiling` is half the time of a query with 1
thread while another process runs it as well, over that of a query alone: what two threads would reach that need not
speak to each other, nor divide any work, on this machine with its memory and its caches. With --bound, exits with 1 if
`local`'s geometric mean over all queries, of the first runs or of those after, is above it. Quote the ratios, not the
seconds.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

from engines import interval, prelude

# How often a process runs its query.
TIMES = 4


def least(took):
    """The seconds of the first run, and the least of those after it."""
    return took[0], min(took[1:])


def duckdb_seconds(threads, data, path):
    """The seconds of a query in a fresh process, as this file measures them when it is called with --duckdb."""
    done = subprocess.run([sys.executable, __file__, "--duckdb", str(threads), data, path], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr[-500:])
    return least(json.loads(done.stdout))


def duckdb_run(threads, data, path):
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET threads = {threads}")
    for name in sorted(os.listdir(data)):
        if name.endswith(".parquet"):
            connection.execute(f"CREATE VIEW {name[:-8]} AS SELECT * FROM '{os.path.join(data, name)}'")
    with open(path) as file:
        sql = file.read()
    took = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        result = connection.execute(sql)
        if result.description:
            result.fetchall()
        took.append(time.perf_counter() - begin)
    print(json.dumps(took))


def at_once(command, room, processes=1):
    """The mean seconds of a query in processes that begin together."""
    records = [os.path.join(room, f"record{at}.json") for at in range(processes)]
    running = [subprocess.Popen([*command, "--record", record], stdout=subprocess.DEVNULL) for record in records]
    if any([process.wait() for process in running]):
        sys.exit(f"{command} failed")
    took = []
    for record in records:
        with open(record) as file:
            statements = json.load(file)["statements"][-TIMES:]
        took.append(least([statement["duration_us"] / 1e6 for statement in statements]))
    return tuple(statistics.fmean(seconds) for seconds in zip(*took))


def main():
    if sys.argv[1:2] == ["--duckdb"]:
        return duckdb_run(*sys.argv[2:])
    parser = argparse.ArgumentParser()
    parser.add_argument("--query", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--bound", type=float)
    args = parser.parse_args()
    only = set(filter(None, args.only.split(",")))
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "queries", "tpch")
    numbers = sorted(int(name[1:-4]) for name in os.listdir(folder) if name.endswith(".sql"))
    means = {"local": [], "stock": [], "duckdb": [], "ceiling": []}
    firsts = []
    with tempfile.TemporaryDirectory() as room:
        script = os.path.join(room, "query.sql")
        for number in (number for number in numbers if not only or str(number) in only):
            path = os.path.join(folder, f"q{number}.sql")
            with open(path) as text, open(script, "w") as out:
                out.write(prelude(args.data) + f"{text.read().rstrip().rstrip(';')};\n" * TIMES)

            def took(engine, threads):
                if engine == "duckdb":
                    return duckdb_seconds(threads, args.data, path)
                if engine == "ceiling":
                    command = [args.query, "run", script, "--engine", "local", "--threads", "1"]
                    return tuple(seconds / threads for seconds in at_once(command, room, processes=threads))
                return at_once([args.query, "run", script, "--engine", engine, "--threads", str(threads)], room)

            ratios = {engine: [] for engine in means}
            # The first pair warms the page cache.
            for pair in range(args.pairs + 1):
                for engine in means:
                    both = {threads: took(engine, threads) for threads in ((1, 2) if pair % 2 == 0 else (2, 1))}
                    if pair > 0:
                        ratios[engine].append(both[2][1] / both[1][1])
                        if engine == "local":
                            firsts.append(both[2][0] / both[1][0])
            shown = []
            for engine in means:
                mean, low, high = interval(ratios[engine])
                means[engine].append(mean)
                shown.append(f"{engine} {mean:.3f} [{low:.3f}, {high:.3f}]")
            print(f"q{number:<3} {'  '.join(shown)}", flush=True)
    over_all = {engine: math.exp(statistics.fmean(map(math.log, ratios))) for engine, ratios in means.items()}
    shown = "  ".join(f"{engine} {ratio:.3f} ({1 / ratio:.2f}x)" for engine, ratio in over_all.items())
    first = math.exp(statistics.fmean(map(math.log, firsts)))
    print(f"geomean over {len(means['local'])} queries, {args.pairs} pairs each: {shown}  local's first runs {first:.3f}")
    if args.bound is not None and max(first, over_all["local"]) > args.bound:
        sys.exit(1)


main()
