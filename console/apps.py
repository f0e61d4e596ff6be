"""The Django app of the pages and the live view."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "console"
