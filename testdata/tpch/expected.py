#!/usr/bin/env python3
"""Write the expected answers of the 22 TPC-H queries, as DuckDB gives them.

    pip install tpchgen-cli==4.0.0 duckdb==2.0.0
    tpchgen-cli parquet -s 0.1 --output-dir DIR
    python expected.py --data DIR

Each queries/tpch/qN.sql becomes one qN.csv: a line of column names, a line of
DuckDB column types, then the rows in the order DuckDB returned them. Strings
(names and types included) are always quoted and nothing else ever is, so an
empty field is NULL and "" is the empty string. Doubles are written in the
shortest form that reads back to the same value, decimals with all their
digits, dates as YYYY-MM-DD.
"""

import argparse
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb

HERE = Path(__file__).resolve().parent
QUERIES = HERE.parent.parent / "queries" / "tpch"
TABLES = [
    "region",
    "nation",
    "supplier",
    "customer",
    "part",
    "partsupp",
    "orders",
    "lineitem",
]


def field(value):
    """One value as a CSV field."""
    if value is None:
        return ""
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"no CSV form for {type(value).__name__}: {value!r}")


def line(values):
    return ",".join(field(value) for value in values) + "\n"


def open_tables(data):
    """A connection with one view per table over the Parquet files in `data`."""
    connection = duckdb.connect()
    for table in TABLES:
        file = data / f"{table}.parquet"
        if not file.is_file():
            raise SystemExit(f"missing {file}")
        connection.read_parquet(str(file)).create_view(table)
    return connection


def main():
    parser = argparse.ArgumentParser(
        description="Write the expected TPC-H answers with DuckDB."
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="directory holding region.parquet ... lineitem.parquet",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=HERE / "sf0.1",
        metavar="DIR",
        help="where the CSV files go (default: sf0.1 beside this script)",
    )
    args = parser.parse_args()

    connection = open_tables(args.data)
    args.out.mkdir(parents=True, exist_ok=True)
    for number in range(1, 23):
        query = (QUERIES / f"q{number}.sql").read_text(encoding="utf-8")
        result = connection.execute(query)
        names = [column[0] for column in result.description]
        types = [str(column[1]) for column in result.description]
        rows = result.fetchall()
        text = line(names) + line(types) + "".join(map(line, rows))
        (args.out / f"q{number}.csv").write_bytes(text.encode("utf-8"))
        print(f"q{number}: {len(rows)} rows")


if __name__ == "__main__":
    main()
