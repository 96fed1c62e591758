"""Options of the channels that tests call through."""

# A client that does not read takes 4.5 MB of its own per stream unless the window probe is off.
_SMALL_WINDOW = (("grpc.http2.bdp_probe", 0),)
OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1), *_SMALL_WINDOW)
"""gRPC shares connections between channels to one address, and with them the pause after one that failed: a server that
has the port of an earlier one would not be found."""
