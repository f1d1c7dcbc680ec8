"""Ports of this machine: free ones, and whether one is taken."""

import random
import socket

HOST = "127.0.0.1"
CHOICE = range(20_000, 32_000)
"""Below the range the kernel takes for outgoing connections: while a server is down, a client that tries to reconnect
could else be given the server's own port and hold it against its restart."""
BUS = 10_000
"""Added to a node's port it is the port of the cluster bus; before Redis 7 that cannot be changed."""
CLUSTER_CHOICE = range(20_000, 22_000)
"""So that the bus is below that range, too."""


def free_port() -> int:
    """A port nobody listens on."""
    generator = random.SystemRandom()
    while True:
        port = generator.choice(CHOICE)
        if not taken(port):
            return port


def free_cluster_port() -> int:
    """A port for a node of a Redis Cluster: nobody listens on it, nor on the one on which the nodes talk to one another."""
    generator = random.SystemRandom()
    while True:
        port = generator.choice(CLUSTER_CHOICE)
        if not taken(port) and not taken(port + BUS):
            return port


def taken(port: int) -> bool:
    """Does somebody listen on this port, or may we not have it?"""
    if accepts(port):
        return True
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def accepts(port: int) -> bool:
    """Is a connection to this port accepted?"""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0
