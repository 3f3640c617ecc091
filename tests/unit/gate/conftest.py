"""A service with a gate in front of it, on virtual time."""

import inspect

import pytest

from tests.unit.gate.service import A, Service
from tests.unit.gate.virtual_time import on_virtual_time


def pytest_configure(config):
    config.addinivalue_line("markers", "service(max_jobs, **options): the service that the gate is for")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Let asynchronous tests run on virtual time."""
    if inspect.iscoroutinefunction(pyfuncitem.obj):
        pyfuncitem.obj = on_virtual_time(pyfuncitem.obj)


@pytest.fixture
def service(request):
    """The service that the test is marked with, or one with one account of one slot."""
    if hasattr(request, "param"):
        return Service(request.param)
    marker = request.node.get_closest_marker("service")
    return Service(*marker.args, **marker.kwargs) if marker else Service({A: 1})


@pytest.fixture
def gate(service):
    """The gate in front of it."""
    return service.gate()
