#!/usr/bin/env python3
"""Write what pandas answers about readings.csv, for tests/it/frame/pandas.rs.

    pip install pandas==3.1.1 "dask[dataframe]==2026.8.0"
    python expected.py

Each answer becomes one file in expected/ (CSV, under .txt): a header, then rows in pandas' order.
An empty field is a missing value. Floats are written in the shortest form that
reads back to the same value. What Dask computes of the same rows in three
partitions is compared with pandas' answer before anything is written.
"""

from pathlib import Path

import dask.dataframe as dd
import pandas as pd

HERE = Path(__file__).resolve().parent


def read():
    """The readings, with integers that may be missing kept as integers."""
    return pd.read_csv(
        HERE / "readings.csv",
        dtype={"reading": "int64", "station": "str", "level": "Int64", "wind": "float64"},
        parse_dates=["ts"],
        date_format="ISO8601",
        keep_default_na=False,
        na_values=[""],
    )


def datetimes(frame):
    ts = frame["ts"].dt
    iso = ts.isocalendar()
    parts = {
        "reading": frame["reading"],
        "year": ts.year,
        "quarter": ts.quarter,
        "month": ts.month,
        "day": ts.day,
        "hour": ts.hour,
        "minute": ts.minute,
        "second": ts.second,
        "microsecond": ts.microsecond,
        "nanosecond": ts.nanosecond,
        "day_of_week": ts.day_of_week,
        "day_of_year": ts.day_of_year,
        "week": iso["week"],
        "iso_year": iso["year"],
        "date": ts.strftime("%Y-%m-%d"),
        "floor_hour": ts.floor("h").dt.strftime("%Y-%m-%dT%H:%M:%S"),
        "text": ts.strftime("%d/%m/%Y %H:%M:%S"),
    }
    table = pd.DataFrame(parts)
    for name in table.columns:
        if pd.api.types.is_float_dtype(table[name]):
            table[name] = table[name].astype("Int64")
    return table


def groups(frame, dropna):
    grouped = frame.groupby("station", dropna=dropna)
    table = grouped.agg(
        rows=("reading", "size"),
        levels=("level", "count"),
        level=("level", "sum"),
        mean=("wind", "mean"),
        std=("wind", "std"),
        least=("wind", "min"),
        most=("wind", "max"),
        median=("wind", "median"),
    )
    # pandas' sum of no values is 0, SQL's is NULL.
    table["level"] = table["level"].where(table["levels"] > 0)
    return table.reset_index()


def counts(frame, dropna):
    table = frame["station"].value_counts(dropna=dropna).reset_index()
    return table.sort_values(["count", "station"], ascending=[False, True], na_position="last")


def windows(frame):
    frame = frame.sort_values("reading")
    grouped = frame.groupby("station", dropna=False)
    return pd.DataFrame(
        {
            "reading": frame["reading"],
            "so_far": frame["level"].fillna(0).groupby(frame["station"], dropna=False).cumsum(),
            "mean_of_3": grouped["wind"]
            .rolling(3, min_periods=1)
            .mean()
            .droplevel(0)
            .reindex(frame.index),
            "middle_of_3": grouped["wind"]
            .rolling(3, min_periods=1)
            .median()
            .droplevel(0)
            .reindex(frame.index),
            "place": grouped["reading"].rank(method="first", ascending=False).astype("int64"),
            "before": grouped["level"].shift(1),
        }
    )


def pivoted(frame):
    table = frame.assign(month=frame["ts"].dt.month).pivot_table(
        index="station", columns="month", values="wind", aggfunc="mean", dropna=False, observed=True
    )
    wanted = [1, 2, 11, 12]
    table = table.reindex(columns=wanted)
    return table.rename(columns=str).reset_index()


def check_dask(frame):
    """Dask's answers over three partitions, where it computes exactly."""
    parts = dd.from_pandas(frame, npartitions=3)
    ours = frame.groupby("station", dropna=False)["wind"].mean().sort_index()
    theirs = parts.groupby("station", dropna=False)["wind"].mean().compute().sort_index()
    pd.testing.assert_series_equal(ours, theirs, check_index=False)
    pd.testing.assert_series_equal(frame["ts"].dt.hour, parts["ts"].dt.hour.compute())
    ours = frame["station"].value_counts(dropna=False).sort_index()
    theirs = parts["station"].value_counts(dropna=False).compute().sort_index()
    assert ours.tolist() == theirs.tolist(), (ours, theirs)
    ours, theirs = frame["wind"].describe(), parts["wind"].describe().compute()
    exact = ["count", "mean", "std", "min", "max"]
    pd.testing.assert_series_equal(ours[exact], theirs[exact])


def main():
    frame = read()
    check_dask(frame)
    numbers = frame[["reading", "level", "wind"]].astype("Float64").astype("float64")
    described = numbers.describe().rename_axis("statistic").reset_index()
    points = [0.0, 0.1, 1 / 3, 0.5, 0.7, 0.9, 0.99, 1.0]
    quantiles = numbers[["level", "wind"]].quantile(points).rename_axis("quantile").reset_index()
    answers = {
        "describe": described,
        "quantile": quantiles,
        "datetime": datetimes(frame),
        "groups_with_null": groups(frame, dropna=False).sort_values("station", na_position="last"),
        "groups_without_null": groups(frame, dropna=True).sort_values("station"),
        "counts_with_null": counts(frame, dropna=False),
        "counts_without_null": counts(frame, dropna=True),
        "windows": windows(frame),
        "pivot": pivoted(frame).sort_values("station", na_position="last"),
        "filled": frame.fillna({"level": 0, "station": "?"})[["reading", "station", "level"]],
        "dropped": frame.dropna()[["reading"]],
        "dropped_in": frame.dropna(subset=["station"])[["reading"]],
    }
    out = HERE / "expected"
    out.mkdir(exist_ok=True)
    for name, table in answers.items():
        text = table.to_csv(index=False, lineterminator="\n")
        (out / f"{name}.txt").write_text(text, encoding="utf-8")
        print(f"{name}: {len(table)} rows")


if __name__ == "__main__":
    main()
