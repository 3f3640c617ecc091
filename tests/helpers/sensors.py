"""Sensors that a test runs in every mode, and with every flag that changes how they end."""

from tests.helpers.dag_runs import new_dag, run

MODES = {"poke": {"mode": "poke"}, "reschedule": {"mode": "reschedule"}, "deferrable": {"deferrable": True}}
# The table of outcomes. Each sensor has one retry: its tries show which end must not be retried.
FINAL = {
    "default": ("failed", 1),
    "soft_fail": ("failed", 1),
    "silent_fail": ("failed", 1),
    "never_fail": ("skipped", 1),
}
TIMED_OUT = FINAL | {"soft_fail": ("skipped", 1)}
RETRIED = {"default": ("failed", 2), "soft_fail": ("failed", 2), "never_fail": ("skipped", 1)}
FLAGS = {"default": {}, **{name: {name: True} for name in ("soft_fail", "silent_fail", "never_fail")}}


def wait(sensor, mode, **kwargs):
    """Run a DAG with one sensor, ``wait``."""
    with new_dag("wait") as dag:
        sensor(task_id="wait", **_defaults(mode, kwargs))
    return run(dag)


def ends(sensor, flags, modes=MODES, **kwargs):
    """Return how a sensor ends, by mode and flag: each is a task of one DAG."""
    tasks = {f"{mode}-{flag}".replace(" ", "_"): (mode, flag) for mode in modes for flag in flags}
    with new_dag("wait") as dag:
        for task_id, (mode, flag) in tasks.items():
            sensor(task_id=task_id, **_defaults(modes[mode], kwargs | FLAGS[flag]))
    outcome = run(dag)
    ended = {mode: {} for mode in modes}
    for task_id, (mode, flag) in tasks.items():
        ended[mode][flag] = outcome.end(task_id)
    return ended


def in_every_mode(expected, modes=MODES):
    """Return what ``ends`` is to return where the mode makes no difference."""
    return dict.fromkeys(modes, expected)


def _defaults(mode, kwargs):
    return {"poke_interval": 0.2, "timeout": 60, "retries": 1, "retry_delay": 0, **mode, **kwargs}
