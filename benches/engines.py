#!/usr/bin/env python3
"""One binary in two ways, in alternating pairs of whole processes: ratios, and how sure they are.

usage: engines.py --query BINARY --data FOLDER [--queries FOLDER] [--pairs 15] [--only 1,2] [--bound 1.02]
                  [--first "--engine stock"] [--second "--engine local"] [--statement]
                  [--first-sql SQL] [--second-sql SQL]

For each query the geometric mean of second/first over the pairs, with the 95 % interval of a t distribution over the
logarithms. With --bound, exits with 1 if the geometric mean over all queries is above it, or a query's lower bound is
above 1.05. The SQL runs before the query. With --statement, the time of the query alone as a run record tells it, without the start of the process
and the tables. Quote the ratios, not the seconds.
"""

import argparse
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

# Two-sided 95 % quantiles of the t distribution, by degrees of freedom.
T95 = [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09]


def seconds(command, record):
    if record:
        command = [*command, "--record", record]
    begin = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    took = time.perf_counter() - begin
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)}: {done.stderr.decode(errors='replace')[-500:]}")
    if record:
        with open(record) as file:
            took = json.load(file)["statements"][-1]["duration_us"] / 1e6
    return took


def prelude(data):
    lines = []
    for name in sorted(os.listdir(data)):
        path = os.path.join(data, name)
        if name.endswith(".parquet"):
            lines.append(f"CREATE EXTERNAL TABLE {name[:-8]} STORED AS PARQUET LOCATION '{path}';")
    return "\n".join(lines) + "\n"


def interval(ratios):
    logs = [math.log(ratio) for ratio in ratios]
    mean = statistics.fmean(logs)
    if len(logs) < 2:
        return math.exp(mean), 0.0, math.inf
    t = T95[min(len(logs) - 2, len(T95) - 1)]
    half = t * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--query", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--queries", default=os.path.join(os.path.dirname(__file__), "..", "queries", "tpch"))
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--only", default="")
    parser.add_argument("--bound", type=float)
    parser.add_argument("--first", default="--engine stock")
    parser.add_argument("--second", default="--engine local")
    parser.add_argument("--first-sql", default="")
    parser.add_argument("--second-sql", default="")
    parser.add_argument("--statement", action="store_true")
    args = parser.parse_args()
    only = set(filter(None, args.only.split(",")))
    number = lambda name: "".join(filter(str.isdigit, name))
    names = sorted((n for n in os.listdir(args.queries) if n.endswith(".sql")), key=lambda n: int(number(n) or 0))
    ways = [shlex.split(args.first), shlex.split(args.second)]
    means, slower = [], []
    with tempfile.TemporaryDirectory() as room:
        scripts = [os.path.join(room, "first.sql"), os.path.join(room, "second.sql")]
        record = os.path.join(room, "record.json") if args.statement else None
        for name in names:
            if only and number(name) not in only:
                continue
            with open(os.path.join(args.queries, name)) as text:
                query = prelude(args.data) + text.read()
            for script, sql in zip(scripts, (args.first_sql, args.second_sql)):
                with open(script, "w") as out:
                    out.write(sql + ("\n" if sql else "") + query)
            ratios, least = [], [math.inf, math.inf]
            for pair in range(args.pairs + 1):
                took = [0.0, 0.0]
                for way in (0, 1) if pair % 2 == 0 else (1, 0):
                    took[way] = seconds([args.query, "run", scripts[way], *ways[way]], record)
                # The first pair warms the page cache.
                if pair > 0:
                    ratios.append(took[1] / took[0])
                    least = [min(least[way], took[way]) for way in (0, 1)]
            mean, low, high = interval(ratios)
            means.append(mean)
            if low > 1.05:
                slower.append(name)
            print(f"{name:10} {least[0]:8.3f} s {least[1]:8.3f} s  ratio {mean:.3f} [{low:.3f}, {high:.3f}]", flush=True)
    over_all = math.exp(statistics.fmean(math.log(mean) for mean in means))
    print(f"geomean {over_all:.3f} over {len(means)} queries, {args.pairs} pairs each; slower for sure: {slower or 'none'}")
    if args.bound is not None and (over_all > args.bound or slower):
        sys.exit(1)


if __name__ == "__main__":
    main()
