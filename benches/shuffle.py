#!/usr/bin/env python3
"""Peak memory of a 16-way shuffle whose input grows, under one memory limit: it must not grow along.

usage: shuffle.py BINARY [LIMIT in MB, 512 if not given]

Each row goes through a shuffle into a sort that spills. Peaks are medians of several runs, in turn: the same run peaks
a tenth higher or lower. Exits with 1 if the largest input's peak is more than a tenth above that of the first input
that is larger than the limit.
"""

import os
import statistics
import subprocess
import sys
import tempfile

# Rows of 16 bytes and more, with what the window adds: from about the limit to four times as much.
ROWS = [16_000_000, 32_000_000, 64_000_000]
RUNS = 5
QUERY = """
SET datafusion.execution.target_partitions = 16;
SELECT count(*), max(r), max(v) FROM (
    SELECT v, row_number() OVER (PARTITION BY k ORDER BY v) AS r
    FROM (SELECT value * 7919 % 1000003 AS k, value AS v FROM generate_series(1, {rows}))
);
"""


def peak(binary, rows, limit, script):
    with open(script, "w") as file:
        file.write(QUERY.format(rows=rows))
    command = [binary, "run", script, "--memory-limit", f"{limit}MB"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"{rows} rows: exit status {status}")
    return usage.ru_maxrss / 1024


def main():
    binary, limit = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 512
    with tempfile.TemporaryDirectory() as room:
        script = os.path.join(room, "query.sql")
        runs = [[peak(binary, rows, limit, script) for rows in ROWS] for _ in range(RUNS)]
    peaks = [statistics.median(of_rows) for of_rows in zip(*runs)]
    for rows, median, of_rows in zip(ROWS, peaks, zip(*runs)):
        ends = f"{min(of_rows):.0f} to {max(of_rows):.0f}"
        print(f"{rows:12,} rows  peak {median:6.0f} MB, {ends}  (limit {limit} MB)")
    growth = peaks[-1] / peaks[1]
    print(f"{ROWS[-1] // ROWS[1]} times the input: {growth:.2f} times the memory")
    sys.exit(growth > 1.1)


main()
