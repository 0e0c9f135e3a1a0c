"""Carts, checkouts, payments: what shows intent and has a deadline, up to being abandoned."""
