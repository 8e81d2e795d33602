"""deploy/envoy/reverse-proxy.yaml: no body is judged, so none passes where policy may need it."""

import grpc
import pytest
from support.calls import FORGED, Agent, ours_at
from support.envoy_process import Envoy, deployed

PAY = "/tools/stripe-payments/create_payment"
LIST = "/tools/stripe-payments/list_all"


@pytest.fixture(scope="module")
def envoy(tmp_path_factory, ports):
    folder = tmp_path_factory.mktemp("reverse-proxy")
    with Envoy(folder, deployed("reverse-proxy", ports)) as running:
        yield running


@pytest.fixture(params=[False, True], ids=["http1", "http2"])
def agent(request, envoy, token):
    with Agent(envoy.url, token, http2=request.param) as agent:
        yield agent


def test_calls_without_a_body(envoy, agent, tools):
    got = agent.call(LIST + "?limit=3", method="GET", headers=FORGED)
    assert got.status == 200, got
    method, path, headers, _ = tools.payments.seen[-1]
    assert (method, path) == ("GET", "/list_all?limit=3")
    assert ours_at(headers)["x-aegis-decision-id"] == got.headers["x-aegis-decision-id"]
    assert envoy.next_line(decision_id=got.headers["x-aegis-decision-id"])["outcome"] == "allow"
    assert agent.call(LIST, b"", headers={"content-length": "0"}).status == 200
    got = agent.call("/tools/search/find?q=x", method="GET")
    assert (got.status, tools.search.seen[-1][1]) == (200, "/find?q=x")


BODIES = {  # in chunks?
    "with a length": (False, "POST"),
    "chunked": (True, "POST"),
    "of a GET": (False, "GET"),
    "chunked, of a GET": (True, "GET"),
    "chunked, of a DELETE": (True, "DELETE"),
}


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_nobody_judges_does_not_pass(envoy, token, tools, name, http2):
    """Whatever the client says of it: the field by which Envoy says so is not the client's."""
    before = tools.seen()
    for forged in ({}, {"x-envoy-auth-partial-body": "false"}):
        chunked, method = BODIES[name]
        body = b'{"amount":9000}'
        params = iter([body]) if chunked else body
        with Agent(envoy.url, token, http2=http2) as agent:
            got = agent.call(LIST, params, method=method, headers=forged)
        assert (got.status, got.reason) == (403, "body_missing"), got
        assert envoy.next_line(reason="body_missing")["status"] == 403
    assert tools.seen() == before


def test_unread_bodies_of_any_size_pass_where_the_route_says_so(envoy, agent, tools):
    body = bytes(range(256)) * 8192
    got = agent.call(
        "/tools/archive/put/2026.bin",
        (body[i : i + 65536] for i in range(0, len(body), 65536)),
        method="PUT",
        headers={"content-type": "application/octet-stream"},
    )
    assert got.status == 200, got
    assert tools.payments.seen[-1][3] == body
    got = agent.call("/tools/archive/remove/2026.bin", method="DELETE")
    assert (got.status, got.reason) == (403, "action_not_allowed")


def test_server_sent_events(agent, tools):
    tools.feed.go_on.clear()
    with agent.client.stream("GET", "/tools/feed/subscribe", headers=agent.headers) as answer:
        chunks = answer.iter_bytes()
        assert next(chunks) == b"data: 1\n\n"
        tools.feed.go_on.set()
        assert b"".join(chunks) == b"data: 2\n\n"


def test_grpc_tools(envoy, token, tools):
    me = [("authorization", f"Bearer {token}")]
    with grpc.insecure_channel(envoy.address, [("grpc.enable_http_proxy", 0)]) as channel:
        sum_ = channel.stream_stream("/ledger.Ledger/Sum")
        assert list(sum_(iter([b"1", b"2"]), metadata=me, timeout=10)) == [b"1", b"3"]
        ours_at(tools.ledger.seen[-1][1])
        before = tools.seen()
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary("/ledger.Ledger/Close")(b"", metadata=me, timeout=10)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
        # A gRPC path that is not asked for by gRPC is no call of the tool.
        with Agent(envoy.url, token) as agent:
            assert agent.call("/ledger.Ledger/Balance", {}).status in (403, 404)
        assert tools.seen() == before
