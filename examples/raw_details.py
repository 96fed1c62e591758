"""The same details without this library: any generated stub, and google.rpc.Status from the trailer."""

import os

import grpc
from google.rpc import error_details_pb2, status_pb2

from pointsman import v1

TARGET = os.environ.get("POINTSMAN_TARGET", "localhost:50051")

with grpc.insecure_channel(TARGET) as channel:
    stub = v1.InferenceServiceStub(channel)
    try:
        stub.Generate(v1.GenerateRequest(model="small", prompt="Once"), timeout=60)
    except grpc.RpcError as error:
        trailers = dict(error.trailing_metadata() or ())
        status = status_pb2.Status.FromString(trailers.get("grpc-status-details-bin", b""))
        info, retry, failure = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo(), v1.Failure()
        for detail in status.details:
            for message in (info, retry, failure):
                detail.Unpack(message)
        print(error.code().name, info.reason, retry.retry_delay.ToTimedelta(), failure.retryable)
