from pointsman.v1 import batch_pb2 as _batch_pb2
from pointsman.v1 import embed_pb2 as _embed_pb2
from pointsman.v1 import generate_pb2 as _generate_pb2
from pointsman.v1 import stream_pb2 as _stream_pb2
from pointsman.v1 import tokens_pb2 as _tokens_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
