"""`python -m streams.local`: fetches what a local Kafka needs, so that later starts need no network."""

import sys

from streams.local.errors import LocalError
from streams.local.jars import KAFKA, kafka_jars


def main() -> int:
    try:
        print(f"Kafka {KAFKA}: {kafka_jars()}")
    except LocalError as error:
        print(f"freshet: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
