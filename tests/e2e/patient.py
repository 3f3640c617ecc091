"""Connections whose clients wait for as long as a test does."""

import json


def patient(simulator):
    """The connection to a simulator, with a client that does not give up while a test holds an answer."""
    connection = simulator.connection
    return connection | {"extra": json.dumps(json.loads(connection["extra"]) | {"timeout": 600})}
