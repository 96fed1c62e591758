"""Bytes to and from upstreams over HTTP; knows no provider and no model."""
