"""Make the table mixed.parquet and what DuckDB knows about its columns.

    pip install duckdb==2.0.1
    python expected.py

mixed.parquet is 600 rows of made-up values of many types, with NULLs. expected.csv
has a line for each column: its name, how many values and NULLs it has, the exact
number of distinct values, minimum, maximum, mean, standard deviation, and the
values between which the estimated quartiles are to lie. An empty field is a figure
that the column's type does not have.
"""

import csv
import random
from pathlib import Path

import duckdb

HERE = Path(__file__).resolve().parent
ROWS = 600
NUMBERS = ["small", "big", "huge", "price", "ratio", "clustered", "constant"]
TIMES = ["day", "moment"]
# An estimated quartile is to lie between these shares of the values.
SHARES = [0.23, 0.27, 0.48, 0.52, 0.73, 0.77]

MAKE = """
create table mixed (
    small integer, big bigint, huge bigint, price decimal(10, 2), ratio double,
    clustered double, constant smallint, word varchar, flag boolean, day date,
    moment timestamp, nothing integer, "Mixed Case" varchar, "a.b" integer,
    tags integer[]
)
"""


def row(number, rng):
    """One row; every type is NULL now and then."""

    def maybe(value):
        return None if rng.random() < 0.1 else value

    return [
        maybe(rng.randint(-50, 50)),
        maybe(rng.randint(-10**12, 10**12)),
        maybe(2**63 - 1 - rng.randint(0, 2**62)),
        maybe(rng.randint(0, 100_000) / 100),
        maybe(rng.uniform(-1, 1)),
        rng.gauss(0, 1) if number % 3 else rng.gauss(1000, 1),
        7,
        maybe(rng.choice(["ash", "beech", "cedar", "Dogwood", "elm", "ünder"])),
        maybe(rng.random() < 0.3),
        maybe(f"20{rng.randint(10, 26)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"),
        maybe(f"2026-{rng.randint(1, 12):02}-01 {rng.randint(0, 23):02}:{rng.randint(0, 59):02}:30"),
        None,
        maybe(f"w{rng.randint(1, 300)}"),
        maybe(number),
        maybe([1, 2]),
    ]


def figures(connection, name, type_name):
    """What is expected of one column, as texts."""
    column = '"' + name + '"'
    counts = f"count({column}), count(*) - count({column})"
    count, nulls = connection.execute(f"select {counts} from mixed").fetchone()
    if name == "tags":
        return [name, count, nulls] + [""] * 11
    form = "%Y-%m-%dT%H:%M:%S" if type_name == "TIMESTAMP" else "%Y-%m-%d"
    text = f"strftime({column}, '{form}')" if name in TIMES else column
    distinct, least, most = connection.execute(
        f"select count(distinct {column}), min({text})::varchar, max({text})::varchar from mixed"
    ).fetchone()
    mean = std = None
    quartiles = [None] * 6
    if name in NUMBERS or name in ("nothing", "a.b"):
        mean, std = connection.execute(
            f"select avg({column}::double), stddev({column}::double) from mixed"
        ).fetchone()
        quartiles = connection.execute(
            f"select quantile_cont({column}::double, {SHARES}) from mixed"
        ).fetchone()[0]
    if name in TIMES:
        quartiles = connection.execute(
            f"select quantile_disc({text}, {SHARES}) from mixed"
        ).fetchone()[0]
    values = [name, count, nulls, distinct, least, most, mean, std, *(quartiles or [None] * 6)]
    return ["" if value is None else value for value in values]


def main():
    rng = random.Random(3)
    connection = duckdb.connect()
    connection.execute(MAKE)
    rows = [row(number, rng) for number in range(ROWS)]
    marks = ", ".join("?" * len(rows[0]))
    connection.executemany(f"insert into mixed values ({marks})", rows)
    target = HERE / "mixed.parquet"
    connection.execute(f"copy mixed to '{target}' (format parquet, compression zstd)")
    columns = connection.execute("select name, type from pragma_table_info('mixed')").fetchall()
    with (HERE / "expected.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(
            "name count nulls distinct min max mean std".split()
            + [f"{share:.0%}" for share in SHARES]
        )
        writer.writerows(figures(connection, *column) for column in columns)


if __name__ == "__main__":
    main()
