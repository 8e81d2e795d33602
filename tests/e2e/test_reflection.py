"""gRPC's server reflection at the door for Envoys, asked by gRPC's own client."""

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from support.aegis_process import Aegis
from support.ext_authz import OPTIONS, auth, check
from support.ext_mcp import messages

SERVICES = {
    "agentgateway.dev.ext_mcp.ExtMcp",
    "envoy.service.auth.v3.Authorization",
    "envoy.service.ext_proc.v3.ExternalProcessor",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}


@pytest.fixture
def reflected(envoy_aegis):
    with grpc.insecure_channel(envoy_aegis.run["envoy"], options=OPTIONS) as channel:
        yield channel, ProtoReflectionDescriptorDatabase(channel)


def test_what_is_served_is_told_with_all_that_it_needs(reflected):
    _, database = reflected
    assert set(database.get_services()) == SERVICES
    pool = descriptor_pool.DescriptorPool(database)
    for service in SERVICES:
        for method in pool.FindServiceByName(service).methods:
            # Building the classes fails where an import is missing.
            message_factory.GetMessageClass(method.input_type)
            message_factory.GetMessageClass(method.output_type)


def test_a_call_made_from_nothing_but_what_reflection_tells(reflected, envoy_aegis):
    channel, database = reflected
    pool = descriptor_pool.DescriptorPool(database)
    method = pool.FindMethodByName("envoy.service.auth.v3.Authorization.Check")
    ask = channel.unary_unary(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
    )
    known = check(envoy_aegis.token("finance-agent"), {"amount": 42, "currency": "usd"})
    request = message_factory.GetMessageClass(method.input_type)()
    request.ParseFromString(known.SerializeToString())
    assert request.attributes.request.http.path == known.attributes.request.http.path
    assert ask(request, timeout=20).status.code == 0


def test_the_descriptors_are_those_of_the_published_files(reflected):
    _, database = reflected
    for own in (auth.DESCRIPTOR, messages.DESCRIPTOR):
        told = database.FindFileByName(own.name)
        pool = descriptor_pool.DescriptorPool(database)
        for message in told.message_type:
            name = f"{told.package}.{message.name}"
            ours = own.message_types_by_name[message.name]
            fields = {(f.name, f.number, f.type) for f in pool.FindMessageTypeByName(name).fields}
            # The published file that the tests have may be an older one.
            assert fields >= {(f.name, f.number, f.type) for f in ours.fields}, name


def test_in_the_place_of_opa_envoy_it_is_off_unless_asked_for(tmp_path):
    for wanted in (False, True):
        config = tmp_path / "aegis.yaml"
        config.write_text(
            "plugins: {envoy_ext_authz_grpc: {addr: '127.0.0.1:0', "
            f"enable-reflection: {str(wanted).lower()}}}}}\n"
        )
        with (
            Aegis(tmp_path / f"data-{wanted}", "--config", config) as running,
            grpc.insecure_channel(running.run["opa_envoy"], options=OPTIONS) as channel,
        ):
            database = ProtoReflectionDescriptorDatabase(channel)
            if wanted:
                served = set(database.get_services())
                assert "envoy.service.auth.v3.Authorization" in served
                assert "agentgateway.dev.ext_mcp.ExtMcp" not in served
            else:
                with pytest.raises(grpc.RpcError) as refused:
                    database.get_services()
                assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
