"""Pointsman's server: routes inference calls to the backends that can serve them."""
