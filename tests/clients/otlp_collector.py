"""An OTLP collector over gRPC that forgets nothing: it is busy once, then rejects one point of the first request it
takes, and writes all it took as JSON.

Usage: otlp_collector.py FOLDER
Writes FOLDER/port when it is ready and FOLDER/N.json for each request. Ends with its standard input.
"""

import concurrent.futures
import json
import os
import sys
import threading

import grpc
from google.protobuf.json_format import MessageToDict
from opentelemetry import metrics_service_pb2 as messages
from opentelemetry import metrics_service_pb2_grpc as services

FOLDER = sys.argv[1]


def write(name, text):
    path = os.path.join(FOLDER, name)
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


class Collector(services.MetricsServiceServicer):
    def __init__(self):
        self.lock = threading.Lock()
        self.calls = 0

    def Export(self, request, context):
        with self.lock:
            self.calls += 1
            calls = self.calls
        if calls == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
        write(f"{calls}.json", json.dumps(MessageToDict(request, preserving_proto_field_name=True)))
        response = messages.ExportMetricsServiceResponse()
        if calls == 2:
            response.partial_success.rejected_data_points = 1
            response.partial_success.error_message = "one is enough"
        return response


server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
services.add_MetricsServiceServicer_to_server(Collector(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
write("port", str(port))
sys.stdin.read()
server.stop(None)
