#!/usr/bin/env python3
"""Writes matrix.slt: one query per format, compression and layout of the files of tests/it/fixtures.rs."""

FORMATS = {
    "parquet": "parquet", "csv": "csv", "tsv": "tsv", "lines": "ndjson", "array": "json", "avro": "avro",
    "arrow": "arrow", "stream": "arrow",
}
COMPRESSIONS = {"plain": "", "gzip": ".gz", "bzip2": ".bz2", "xz": ".xz", "zstd": ".zst", "unsaid": ""}
COLUMNS = "count(*), count(name), sum(id), sum(score), max(name)"

print("# Every format, compression and layout gives the same rows. Made by tests/slt/files/matrix.py.\n")
print("control substitution on")
for form, extension in FORMATS.items():
    is_text = form in ("csv", "tsv", "lines", "array")
    for compression, ending in COMPRESSIONS.items():
        if compression != "plain" and not is_text:
            continue
        place = f"$FILES/{form}/{compression}"
        print(f"\n# {form}, {compression}")
        for location in (f"{place}/flat", f"{place}/flat/*{ending}", f"{place}/hive/k={{1,2}}/*"):
            print(f"\nquery IIIRT\nselect {COLUMNS} from '{location}'\n----\n5 4 15 3.75 é")
        print(f"\nquery ITR\nfrom '{place}/flat/1.{extension}{ending}' order by id\n----")
        print('1 a 1.5\n2 b, "c" NULL\n3 NULL -2.25')
        print(f"\nquery IIIR\nselect k, count(*), sum(id), sum(score) from '{place}/hive' group by k order by k")
        print("----\n1 3 6 -0.75\n2 2 9 4.5")
        print(f"\nquery II\nselect id, k from '{place}/hive' where k = 2 order by id desc\n----\n5 2\n4 2")
