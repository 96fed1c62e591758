"""The gRPC boundary: the only room that knows grpc and the contract's messages."""
