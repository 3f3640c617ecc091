"""A job of a person on the website, which the service lists nowhere: its slot looks free, and is not."""

import random

import pytest

from tests.unit.gate.service import A
from tests.unit.gate.test_early_admission import Workers, made

# A slot is tried again this many seconds after a job was refused there.
TRIED_AGAIN_AFTER = 180


class WithHiddenJob:
    """The service as submits meet it, beside what it tells."""

    def __init__(self, service):
        self._service = service

    def free(self, email):
        return self._service.free(email) - 1

    def __getattr__(self, name):
        return getattr(self._service, name)


@pytest.mark.service({A: 5})
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_slot_of_a_hidden_job_is_tried_hardly_more_often_than_it_is_given_back(service, seed):
    chance = random.Random(seed)
    workers = Workers(
        WithHiddenJob(service),
        service.gate(),
        handover=lambda: chance.uniform(3, 6),
        duration=lambda: chance.uniform(30, 90),
        poke_interval=5,
    )
    seconds = await made(workers, 100)
    ideal = 100 / 4 * 60
    assert seconds <= 1.15 * ideal
    assert workers.refusals <= seconds / TRIED_AGAIN_AFTER + 5
