#!/usr/bin/env python3
"""The progress line on a terminal: where it stands at half of the time, and whether it ever goes back.

usage: progress.py --query BINARY --data FOLDER [--queries FOLDER] [--only 9,18,21] [--least 25] [--most 75]

Runs each query once on a pseudo-terminal. Exits with 1 if a line goes back or does not end at 100, or if at half of the
time it is outside of the bounds (percent). What the line costs is engines.py's to measure: --first "--progress off"
--second "--progress on".
"""

import argparse
import os
import pty
import re
import sys
import tempfile
import time

from engines import prelude


def percents(command):
    """The seconds and percents of all lines that were drawn, and the seconds of the run."""
    process, terminal = pty.fork()
    if process == 0:
        os.environ.update(TERM="xterm", LANG="C.UTF-8")
        os.execvp(command[0], command)
    begin, drawn = time.perf_counter(), []
    while True:
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:
            break
        if not data:
            break
        now = time.perf_counter() - begin
        drawn += [(now, int(percent)) for percent in re.findall(rb"(\d+)%", data)]
    _, status = os.waitpid(process, 0)
    took = time.perf_counter() - begin
    if status != 0:
        sys.exit(f"{' '.join(command)}: status {status}")
    return drawn, took


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--query", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--queries", default=os.path.join(os.path.dirname(__file__), "..", "queries", "tpch"))
    parser.add_argument("--only", default="9,18,21")
    parser.add_argument("--least", type=int, default=25)
    parser.add_argument("--most", type=int, default=75)
    args = parser.parse_args()
    wrong = []
    with tempfile.TemporaryDirectory() as room:
        for number in args.only.split(","):
            script = os.path.join(room, "query.sql")
            with open(os.path.join(args.queries, f"q{number}.sql")) as query, open(script, "w") as file:
                file.write(prelude(args.data) + query.read())
            drawn, took = percents([args.query, "run", script, "-o", os.path.join(room, "out.csv"), "--progress", "on"])
            told = [percent for _, percent in drawn]
            half = max((percent for at, percent in drawn if at <= took / 2), default=0)
            print(f"q{number}: {len(told)} lines, {half} % at half of the time, {told[-1:]} at the end", flush=True)
            if told != sorted(told) or told[-1:] != [100] or not args.least <= half <= args.most:
                wrong.append(f"q{number}")
    if wrong:
        sys.exit(f"out of bounds: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
