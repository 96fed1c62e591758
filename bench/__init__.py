"""Measures the service beside a bare relay in one run; nothing here is asserted in a test."""
