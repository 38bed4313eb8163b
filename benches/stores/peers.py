"""Reads from the server of benches/stores with DuckDB or polars, and prints the seconds that it took, without imports.

usage: peers.py duckdb|polars count|sums|small|large HOST:PORT
"""

import glob
import os
import sys
import time

BUCKET = "s3://bench"
PLACES = {"count": "many/*.parquet", "sums": "many/*.parquet", "small": "many/0000.parquet", "large": "lineitem.parquet"}


def duckdb_seconds(case, server):
    import duckdb

    package = os.path.join(os.path.dirname(os.path.dirname(duckdb.__file__)), "duckdb_extension_httpfs")
    [extension] = glob.glob(os.path.join(package, "extensions", "*", "httpfs.duckdb_extension"))
    connection = duckdb.connect()
    connection.execute(f"LOAD '{extension}'")
    connection.execute(
        "CREATE SECRET (TYPE s3, KEY_ID 'AKIDBENCHQZX', SECRET 'benchqzx-1234567890', REGION 'us-east-1',"
        f" ENDPOINT '{server}', URL_STYLE 'path', USE_SSL false)"
    )
    table = f"'{BUCKET}/{PLACES[case]}'"
    select = {
        "count": "SELECT count(*) FROM {}",
        "sums": "SELECT l_returnflag, count(*), sum(l_quantity) FROM {} GROUP BY l_returnflag ORDER BY l_returnflag",
    }.get(case, "SELECT * FROM {} LIMIT 10")
    begin = time.perf_counter()
    connection.execute(select.format(table)).fetchall()
    return time.perf_counter() - begin


def polars_seconds(case, server):
    import polars

    options = {
        "aws_access_key_id": "AKIDBENCHQZX",
        "aws_secret_access_key": "benchqzx-1234567890",
        "aws_region": "us-east-1",
        "aws_endpoint_url": f"http://{server}",
        "aws_allow_http": "true",
    }
    begin = time.perf_counter()
    table = polars.scan_parquet(f"{BUCKET}/{PLACES[case]}", storage_options=options)
    if case == "count":
        table = table.select(polars.len())
    elif case == "sums":
        table = table.group_by("l_returnflag").agg(polars.len(), polars.col("l_quantity").sum()).sort("l_returnflag")
    else:
        table = table.head(10)
    table.collect()
    return time.perf_counter() - begin


def main():
    engine, case, server = sys.argv[1:]
    print({"duckdb": duckdb_seconds, "polars": polars_seconds}[engine](case, server))


main()
