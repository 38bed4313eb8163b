#!/usr/bin/env python3
"""Writes TPC-DS into a folder: tables as Parquet files, the queries as text files.

usage: tpcds.py FOLDER [SCALE, 0.01 if not given]
"""
import glob
import os
import sys

import duckdb


def main():
    folder, scale = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0.01
    os.makedirs(folder, exist_ok=True)
    # The wheel of the extension holds the file; nothing is fetched from elsewhere.
    site = os.path.dirname(os.path.dirname(duckdb.__file__))
    (extension,) = glob.glob(f"{site}/duckdb_extension_tpcds/**/*.duckdb_extension", recursive=True)
    db = duckdb.connect()
    db.execute(f"LOAD '{extension}'")
    db.execute(f"CALL dsdgen(sf={scale})")
    for (table,) in db.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall():
        db.execute(f"COPY {table} TO '{folder}/{table}.parquet' (FORMAT parquet)")
    for number, text in db.execute("FROM tpcds_queries()").fetchall():
        with open(f"{folder}/q{number}.sql", "w") as file:
            file.write(text)


if __name__ == "__main__":
    main()
