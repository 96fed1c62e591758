"""Providers: each dialect a pure translator, each backend an Upstream."""
