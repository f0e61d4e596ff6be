"""The Django app of the engine. Starts nothing: `up` starts the engine."""

from django.apps import AppConfig


class SimulatorConfig(AppConfig):
    name = "simulator"
