"""What a task costs in Dask, as benches/tasks.rs measures it here: graphs of tasks that do nothing.

usage: tasks.py [threaded] [distributed]
"""

import sys
import time

import dask
import dask.threaded

FAN_IN = 10


def one(*_):
    return 1


def independent(tasks):
    graph = {("a", i): (one,) for i in range(tasks)}
    graph["end"] = (one, [("a", i) for i in range(tasks)])
    return graph


def chain(tasks):
    graph = {("a", 0): (one,)}
    graph.update({("a", i): (one, ("a", i - 1)) for i in range(1, tasks)})
    graph["end"] = (one, ("a", tasks - 1))
    return graph


def tree(tasks):
    leaves = max(1, tasks * (FAN_IN - 1) // FAN_IN)
    graph = {(0, i): (one,) for i in range(leaves)}
    level, width = 0, leaves
    while width > 1:
        above = -(-width // FAN_IN)
        for i in range(above):
            graph[(level + 1, i)] = (one, [(level, j) for j in range(i * FAN_IN, min(width, (i + 1) * FAN_IN))])
        level, width = level + 1, above
    graph["end"] = (one, (level, 0))
    return graph


def measure(name, get, sizes):
    for shape in (independent, chain, tree):
        points = []
        for size in sizes:
            graph = shape(size)
            best = float("inf")
            for _ in range(3):
                begin = time.perf_counter()
                get(graph, "end")
                best = min(best, time.perf_counter() - begin)
            points.append((len(graph), best))
            print(f"{name:12} {shape.__name__:12} {len(graph):7} tasks {best:9.4f} s", flush=True)
        (few, fast), (many, slow) = points[0], points[-1]
        print(f"{name:12} {shape.__name__:12} {(slow - fast) * 1e6 / (many - few):.1f} µs a task", flush=True)


def main():
    which = sys.argv[1:] or ["threaded", "distributed"]
    print(f"dask {dask.__version__}")
    if "threaded" in which:
        measure("threaded", dask.threaded.get, (1_000, 10_000, 100_000))
    if "distributed" in which:
        from dask.distributed import Client

        with Client(processes=False, dashboard_address=None) as client:
            measure("distributed", client.get, (100, 1_000, 5_000))


if __name__ == "__main__":
    main()
