"""The official Python client, driven through one fixed tour of calls or through a large number of them.

Usage: datadog_client.py tour|volume TARGET [--aggregate] [--count N]
TARGET is HOST:PORT, or unixgram://PATH, unixstream://PATH, unix://PATH.
Prints what the client says it dropped; that has to be 0.
"""

import argparse

from datadog.dogstatsd import base

# A sample rate makes the client throw dice: every throw has to let the sample pass.
base.random = lambda: 0.0

PAST = 1700000000


def client(target, aggregate):
    options = {
        "disable_telemetry": True,
        "disable_aggregation": not aggregate,
        "disable_buffering": False,
        "flush_interval": 0.05,
        # Blocking: a full socket makes the client wait, not drop.
        "socket_timeout": 30,
        "container_id": "ci-" + "ab" * 32,
    }
    if target.startswith("unix"):
        options["socket_path"] = target
    else:
        host, port = target.rsplit(":", 1)
        options["host"] = host.strip("[]")
        options["port"] = int(port)
    return base.DogStatsd(**options)


def tour(statsd):
    tags = ["env:dev", "team:grey"]
    statsd.increment("tour.count", 3, tags=tags)
    statsd.increment("tour.count", 4, tags=tags)
    statsd.decrement("tour.count", 1, tags=tags)
    statsd.increment("tour.sampled", 2, sample_rate=0.5)
    statsd.increment("tour.sampled", 3, sample_rate=0.5)
    statsd.gauge("tour.gauge", 1.5, tags=tags)
    statsd.gauge("tour.gauge", -2.25, tags=tags)
    for value in (1, 2, 3, 4, 10):
        statsd.histogram("tour.histogram", value, tags=tags)
        statsd.timing("tour.timing", value * 10, tags=tags)
        statsd.distribution("tour.distribution", value, tags=tags)
    for member in ("a", "b", "a", "c"):
        statsd.set("tour.set", member, tags=tags)
    statsd.gauge_with_timestamp("tour.past.gauge", 7, PAST, tags=tags)
    statsd.count_with_timestamp("tour.past.count", 9, PAST, tags=tags)
    statsd.gauge("tour.cardinality", 1, tags=tags, cardinality="orchestrator")
    statsd.event(
        "tour title",
        "first line\nsecond | line",
        alert_type="warning",
        aggregation_key="tour-key",
        source_type_name="tour-source",
        date_happened=PAST,
        priority="low",
        tags=tags,
        hostname="tour-host",
    )
    statsd.service_check("tour.check", statsd.CRITICAL, tags=tags, timestamp=PAST, hostname="tour-host")


def volume(statsd, count):
    for number in range(count):
        statsd.increment("volume.python.%d" % (number % 100), 1, tags=["env:dev", "shard:%d" % (number % 7)])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("tour", "volume"))
    parser.add_argument("target")
    parser.add_argument("--aggregate", action="store_true")
    parser.add_argument("--count", type=int, default=100000)
    arguments = parser.parse_args()
    statsd = client(arguments.target, arguments.aggregate)
    if arguments.what == "tour":
        tour(statsd)
    else:
        volume(statsd, arguments.count)
    statsd.flush()
    statsd.stop()
    print("dropped", statsd.packets_dropped)


if __name__ == "__main__":
    main()
