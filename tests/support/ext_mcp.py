"""A client of agentgateway's ExtMcp service, generated from its .proto file."""

import json
import sys

import grpc

from support.aegis_process import ROOT

OPTIONS = [("grpc.enable_http_proxy", 0)]

sys.path.append(str(ROOT / "proto"))
messages, services = grpc.protos_and_services("agentgateway/ext_mcp.proto")


class Client:
    """Asks at `address` as agentgateway does."""

    def __init__(self, address: str):
        self.channel = grpc.insecure_channel(address, options=OPTIONS)
        self.stub = services.ExtMcpStub(self.channel)

    def raw(self, method: str, message: bytes):
        """Asks with bytes that may be no message."""
        result = "McpRequestResult" if method == "CheckRequest" else "McpResponseResult"
        ask = self.channel.unary_unary(
            f"/agentgateway.dev.ext_mcp.ExtMcp/{method}",
            response_deserializer=getattr(messages, result).FromString,
        )
        return ask(message, timeout=20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def request(self, method, params=None, token=None, services=("payments",), headers=()):
        message = messages.McpRequest(method=method, service_names=services)
        if params is not None:
            message.mcp_request = (
                params if isinstance(params, bytes) else json.dumps(params).encode()
            )
        headers = [*headers, *([("authorization", "Bearer " + token)] if token else [])]
        for key, value in headers:
            message.headers.add(key=key, value=value.encode())
        return self.stub.CheckRequest(message, timeout=20)

    def response(self, result, context=None, method="tools/call"):
        message = messages.McpResponse(method=method, service_names=["payments"])
        message.mcp_response = result if isinstance(result, bytes) else json.dumps(result).encode()
        message.metadata_context.update(context or {})
        return self.stub.CheckResponse(message, timeout=20)


def error(answer) -> tuple[int, str]:
    """Code of the refusal, and the reason in its problem document."""
    assert answer.WhichOneof("result") == "error", answer
    problem = json.loads(answer.error.mcp_error)
    assert answer.error.reason
    return answer.error.code, problem["reason"]
