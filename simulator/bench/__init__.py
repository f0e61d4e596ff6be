"""Measures this machine for `manage.py bench`: the product from outside, beside a bare httpx loop, on one sink."""
