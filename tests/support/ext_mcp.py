"""A client of agentgateway's ExtMcp service, whose messages are described here by their numbers."""

import json

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2

PACKAGE = "agentgateway.dev.ext_mcp"
OPTIONS = [("grpc.enable_http_proxy", 0)]

_RESULT = ["pass 1 Pass oneof", "mutated 2 bytes oneof", "error 3 AuthorizationError oneof"]
_CALL = ["service_names 1 string repeated", "method 2 string", "metadata_context 3 Struct"]
# Fields: name, number, type, and whether it is repeated or of the oneof.
_MESSAGES = {
    "McpHeader": ["key 1 string", "value 2 bytes"],
    "McpRequest": [*_CALL, "mcp_request 4 bytes", "headers 5 McpHeader repeated"],
    "McpResponse": [*_CALL, "mcp_response 4 bytes"],
    "Pass": [],
    "AuthorizationError": ["code 1 int32", "reason 2 string", "mcp_error 3 bytes"],
    "HeaderMutation": ["set 1 McpHeader repeated", "remove 2 string repeated"],
    "McpRequestResult": [*_RESULT, "header_mutation 4 HeaderMutation", "metadata 5 Struct"],
    "McpResponseResult": _RESULT,
}
_SCALARS = {"string": 9, "bytes": 12, "int32": 5}


def _classes() -> dict:
    file = descriptor_pb2.FileDescriptorProto(
        name="aegis_test_ext_mcp.proto", package=PACKAGE, syntax="proto3"
    )
    file.dependency.append(struct_pb2.DESCRIPTOR.name)
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for words in map(str.split, fields):
            field = message.field.add(name=words[0], number=int(words[1]))
            field.label = 3 if "repeated" in words else 1
            field.type = _SCALARS.get(words[2], 11)
            if field.type == 11:
                package = "google.protobuf" if words[2] == "Struct" else PACKAGE
                field.type_name = f".{package}.{words[2]}"
            if "oneof" in words:
                field.oneof_index = 0
                if not message.oneof_decl:
                    message.oneof_decl.add(name="result")
    pool = descriptor_pool.Default()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
        for name in _MESSAGES
    }


CLASSES = _classes()


class Client:
    """Asks at `address` as agentgateway does."""

    def __init__(self, address: str):
        self.channel = grpc.insecure_channel(address, options=OPTIONS)
        self.raw = {
            name: self.channel.unary_unary(
                f"/{PACKAGE}.ExtMcp/{name}",
                request_serializer=lambda data: data,
                response_deserializer=CLASSES[answer].FromString,
            )
            for name, answer in (
                ("CheckRequest", "McpRequestResult"), ("CheckResponse", "McpResponseResult"),
            )
        }  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def request(self, method, params=None, token=None, services=("payments",), headers=()):
        message = CLASSES["McpRequest"](method=method, service_names=services)
        if params is not None:
            message.mcp_request = (
                params if isinstance(params, bytes) else json.dumps(params).encode()
            )
        headers = [*headers, *([("authorization", "Bearer " + token)] if token else [])]
        for key, value in headers:
            message.headers.add(key=key, value=value.encode())
        return self.raw["CheckRequest"](message.SerializeToString(), timeout=20)

    def response(self, result, context=None, method="tools/call"):
        message = CLASSES["McpResponse"](method=method, service_names=["payments"])
        message.mcp_response = result if isinstance(result, bytes) else json.dumps(result).encode()
        message.metadata_context.update(context or {})
        return self.raw["CheckResponse"](message.SerializeToString(), timeout=20)


def error(answer) -> tuple[int, str]:
    """Code of the refusal, and the reason in its problem document."""
    assert answer.WhichOneof("result") == "error", answer
    problem = json.loads(answer.error.mcp_error)
    assert answer.error.reason
    return answer.error.code, problem["reason"]
