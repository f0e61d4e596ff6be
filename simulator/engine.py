"""The loop."""


def troubles() -> list[str]:
    return ["the engine is not running"]
