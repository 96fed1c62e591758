"""A microservice that traces: makes one call within a span of its own, and tells what it learned, as JSON."""

import json
import sys

import grpc
from google.protobuf.json_format import MessageToDict
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from pointsman import Client


class Trailers(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Keeps the trailing metadata of the last call."""

    def __init__(self):
        self.call = None

    def intercept_unary_unary(self, continuation, details, request):
        self.call = continuation(details, request)
        return self.call

    def intercept_unary_stream(self, continuation, details, request):
        self.call = continuation(details, request)
        return self.call


def main(target, endpoint, kind, request_id, question):
    provider = TracerProvider(resource=Resource.create({"service.name": "caller"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces")))
    trace.set_tracer_provider(provider)
    trailers = Trailers()
    channel = grpc.intercept_channel(grpc.insecure_channel(target), trailers)
    with (
        trace.get_tracer("caller").start_as_current_span("caller") as span,
        Client(channel=channel) as client,
    ):
        if kind == "unary":
            answer = client.generate(question, model="gemma", request_id=request_id)
        else:
            with client.stream(question, model="gemma", request_id=request_id) as stream:
                for _ in stream:
                    pass
                answer = stream.result
        told = {
            "text": answer.text,
            "trace_id": format(span.get_span_context().trace_id, "032x"),
            "trailing": {key: str(value) for key, value in trailers.call.trailing_metadata()},
            "routing": MessageToDict(
                answer.routing, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            ),
        }
    provider.shutdown()
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
