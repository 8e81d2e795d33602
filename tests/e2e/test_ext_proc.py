"""Envoy's external processing, asked as Envoy does: by gRPC, with code made from its .proto.

The .proto files that tests install are older than protocol_config and FULL_DUPLEX_STREAMED: these
two are written and read here by their numbers. A real Envoy says them by itself.
"""

import json
import queue
import threading

import grpc
import pytest
from google.protobuf import unknown_fields
from support.aegis_process import PAYMENTS_POLICY, Aegis, request
from support.envoy_protos import load

proc = load("envoy.service.ext_proc.v3.external_processor_pb2")

METHOD = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
PAY = "/tools/payments/create_payment"
OPTIONS = [("grpc.enable_http_proxy", 0)]
NONE, STREAMED, BUFFERED, DUPLEX = 0, 1, 2, 4
REDACTED = "[redacted]"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ext-proc")
    config = folder / "aegis.yaml"
    redact = {"request": ["card_number"], "response": ["pan", "customer.ssn"]}
    config.write_text(json.dumps({"ext_proc": {"redact": redact}}))
    with Aegis(folder / "data", "--ext-authz", "127.0.0.1:0", "--config", str(config)) as running:
        running.cli("agent", "register", "finance-agent", "--label", "team=finance")
        running.publish(folder / "policies", finance=PAYMENTS_POLICY)
        running.wait_ready_to_decide()
        yield running


@pytest.fixture(scope="module")
def token(served):
    return served.token("finance-agent")


@pytest.fixture
def channel(served):
    with grpc.insecure_channel(served.run["envoy"], options=OPTIONS) as opened:
        yield opened


class Stream:
    """One call of Process; messages are bytes."""

    def __init__(self, channel, metadata=()):
        self.messages = queue.SimpleQueue()
        call = channel.stream_stream(
            METHOD,
            request_serializer=lambda data: data,
            response_deserializer=proc.ProcessingResponse.FromString,
        )
        self.call = call(iter(self.messages.get, None), metadata=metadata, timeout=20)

    def say(self, message, modes=None):
        """Sends a message; `modes` go with it as protocol_config."""
        data = message if isinstance(message, bytes) else message.SerializeToString()
        if modes is not None:
            config = b"".join(
                bytes([number << 3, mode]) for number, mode in enumerate(modes, 1) if mode
            )
            data += bytes([11 << 3 | 2, len(config)]) + config
        self.messages.put(data)

    def hear(self):
        return next(self.call)

    def end(self):
        self.messages.put(None)
        return self.call.code()


def headers(message, fields, last=False):
    for name, value in fields.items():
        message.headers.headers.add(key=name, raw_value=value.encode())
    message.end_of_stream = last


def call_head(token, path=PAY, length=None, last=False, **fields):
    message = proc.ProcessingRequest()
    all_fields = {
        ":method": "POST",
        ":path": path,
        ":authority": "tools.example",
        ":scheme": "https",
        "authorization": f"Bearer {token}",
        "content-type": "application/json",
    }
    if length is not None:
        all_fields["content-length"] = str(length)
    headers(message.request_headers, all_fields | fields, last)
    return message


def answer_head(kind="application/json", last=False):
    message = proc.ProcessingRequest()
    fields = {":status": "200", "content-type": kind, "x-aegis-forged": "1"}
    headers(message.response_headers, fields, last)
    return message


def body(which, data, last=True):
    message = proc.ProcessingRequest()
    part = getattr(message, which)
    part.body, part.end_of_stream = data, last
    return message


def changes(mutation):
    """Headers that are set, and the names of those removed."""
    for option in mutation.set_headers:
        assert option.append_action == 2, option  # OVERWRITE_IF_EXISTS_OR_ADD
        assert option.header.raw_value and not option.header.value, option
    found = {o.header.key.lower(): o.header.raw_value.decode() for o in mutation.set_headers}
    return found, set(mutation.remove_headers)


def chunk(response):
    """Bytes and end of BodyMutation.streamed_response (3), whose fields are those of HttpBody."""
    [field] = unknown_fields.UnknownFieldSet(response.response.body_mutation)
    assert field.field_number == 3
    streamed = proc.HttpBody.FromString(field.data)
    return streamed.body, streamed.end_of_stream


def refusal(response):
    assert response.WhichOneof("response") == "immediate_response", response
    immediate = response.immediate_response
    problem = json.loads(immediate.body)
    assert problem["status"] == immediate.status.code
    found, _ = changes(immediate.headers)
    assert found["content-type"] == "application/problem+json"
    return immediate.status.code, problem["reason"]


def records(served, decision_id):
    shown = served.json("audit", "show", decision_id)
    return shown["decision"], shown.get("outcome")


def test_a_buffered_call_is_judged_redacted_and_recorded(served, channel, token):
    stream = Stream(channel)
    data = json.dumps({"amount": 42, "card_number": "4111"}).encode()
    stream.say(call_head(token, length=len(data)), (BUFFERED, BUFFERED))
    first = stream.hear()
    assert first.WhichOneof("response") == "request_headers"
    assert not first.request_headers.response.HasField("header_mutation")

    stream.say(body("request_body", data))
    second = stream.hear().request_body.response
    sent = second.body_mutation.body
    assert json.loads(sent) == {"amount": 42, "card_number": REDACTED}
    found, removed = changes(second.header_mutation)
    assert found["content-length"] == str(len(sent))
    assert found["x-aegis-decision"] == "allow"
    assert "authorization" in removed
    decision, outcome = records(served, found["x-aegis-decision-id"])
    assert (decision["door"], decision["rewritten"], outcome) == ("ext_proc", True, None)

    stream.say(answer_head())
    found, removed = changes(stream.hear().response_headers.response.header_mutation)
    assert found["x-aegis-policy-version"] and removed == {"x-aegis-forged"}
    stream.say(body("response_body", b'{"pan": 1, "ssn": 2, "customer": {"ssn": 3}}'))
    last = stream.hear().response_body.response
    answer = {"pan": REDACTED, "ssn": 2, "customer": {"ssn": REDACTED}}
    assert json.loads(last.body_mutation.body) == answer
    assert changes(last.header_mutation)[0] == {"content-length": str(len(last.body_mutation.body))}
    assert stream.end() == grpc.StatusCode.OK
    _, outcome = records(served, decision["id"])
    assert (outcome["status"], outcome["rewritten"]) == (200, True)
    assert outcome["request_bytes"] == len(sent)


def test_streams_in_both_directions(served, channel, token):
    stream = Stream(channel)
    stream.say(call_head(token), (DUPLEX, DUPLEX))
    stream.say(body("request_body", b'{"amount": 42, "card_', last=False))
    stream.say(body("request_body", b'number": "4111"}'))
    assert "content-length" in changes(stream.hear().request_headers.response.header_mutation)[1]
    data, last = chunk(stream.hear().request_body)
    assert last and json.loads(data) == {"amount": 42, "card_number": REDACTED}

    stream.say(answer_head("text/event-stream"))
    assert stream.hear().WhichOneof("response") == "response_headers"
    for number in range(3):
        stream.say(body("response_body", b'data: {"n": %d, "p' % number, last=False))
        stream.say(body("response_body", b'an": 1}\n\n', last=False))
        data, last = chunk(stream.hear().response_body)
        assert not last
        assert json.loads(data.removeprefix(b"data: ")) == {"n": number, "pan": REDACTED}
    stream.say(body("response_body", b"data: no JSON\n\n", last=False))
    assert refusal(stream.hear()) == (502, "answer_not_inspected")
    assert stream.call.code() == grpc.StatusCode.PERMISSION_DENIED


def test_what_is_refused(served, channel, token):
    def ask(message, modes=(NONE, BUFFERED), then=()):
        stream = Stream(channel)
        stream.say(message, modes)
        for more in then:
            assert stream.hear().WhichOneof("response") != "immediate_response"
            stream.say(more)
        said = refusal(stream.hear())
        assert stream.call.code() == grpc.StatusCode.PERMISSION_DENIED
        return said

    large = b'{"amount": 9000}'
    allowed = call_head(token, path="/tools/payments/list_all", last=True)
    length = call_head(token, length=len(large))
    data = body("request_body", large)
    cases = {
        "policy": (ask(length, (BUFFERED, BUFFERED), [data]), (403, "condition_failed")),
        "token": (ask(call_head("x.y.z", last=True)), (401, "token_invalid")),
        "answers unseen": (ask(allowed, (NONE, NONE)), (403, "route_misconfigured")),
        "streamed": (ask(length, (STREAMED, BUFFERED)), (403, "route_misconfigured")),
        "no modes": (ask(allowed, None), (403, "route_misconfigured")),
        "body unseen": (ask(length), (403, "body_missing")),
        "no length": (ask(call_head(token), (BUFFERED, BUFFERED)), (411, "length_required")),
        "query": (
            ask(call_head(token, path=f"{PAY}?card_number=1", last=True)),
            (400, "params_not_rewritten"),
        ),
        "type": (ask(allowed, then=[answer_head("text/html")]), (502, "answer_not_inspected")),
        "order": (ask(length, (BUFFERED, BUFFERED), [answer_head()]), (502, "out_of_order")),
        "twice": (ask(allowed, then=[allowed]), (502, "out_of_order")),
        "body first": (ask(data), (502, "out_of_order")),
        "bytes": (ask(b"\xff\xff", None), (400, "check_malformed")),
    }
    assert {name: got for name, (got, expected) in cases.items() if got != expected} == {}


def test_no_clean_end_before_the_answer_was_whole(channel, token):
    watched = call_head(token, last=True)
    watched.observability_mode = True
    stream = Stream(channel)
    stream.say(watched, (NONE, BUFFERED))
    assert stream.end() == grpc.StatusCode.FAILED_PRECONDITION

    allowed = call_head(token, path="/tools/payments/list_all", last=True)
    for messages in ([], [allowed], [allowed, answer_head()]):
        stream = Stream(channel)
        for number, message in enumerate(messages):
            stream.say(message, (NONE, BUFFERED) if number == 0 else None)
            stream.hear()
        assert stream.end() == grpc.StatusCode.ABORTED
    stream = Stream(channel)
    stream.say(allowed, (NONE, BUFFERED))
    stream.hear()
    stream.say(answer_head(last=True))
    stream.hear()
    assert stream.end() == grpc.StatusCode.OK


def test_tools_named_by_the_route(channel, token):
    def outcome(path, **names):
        stream = Stream(channel, tuple((f"aegis-{name}", value) for name, value in names.items()))
        stream.say(call_head(token, path=path, last=True), (NONE, BUFFERED))
        said = stream.hear()
        return "ok" if said.HasField("request_headers") else refusal(said)[1]

    assert outcome("/list_all", tool="payments") == "ok"
    assert outcome("/api/list_all", tool="payments", prefix="/api") == "ok"
    assert outcome("/anything", tool="payments", action="list_all") == "ok"
    assert outcome("/list_all", tool="other") == "no_grant"
    assert outcome("/list_all", tool="payments", tenant="other") == "wrong_tenant"
    assert outcome("/list_all") == "no_such_path"


def test_many_streams_at_once(served, channel, token):
    wrong = []

    def run(amount):
        data = json.dumps({"amount": amount, "card_number": "4" * 16}).encode()
        for _ in range(20):
            stream = Stream(channel)
            stream.say(call_head(token, length=len(data)), (BUFFERED, DUPLEX))
            stream.hear()
            stream.say(body("request_body", data))
            said = stream.hear()
            if amount > 5000:
                if refusal(said) != (403, "condition_failed"):
                    wrong.append(said)
                continue
            sent = json.loads(said.request_body.response.body_mutation.body)
            stream.say(answer_head())
            stream.say(body("response_body", b'{"pan": %d}' % amount))
            stream.hear()
            got = chunk(stream.hear().response_body)
            if sent != {"amount": amount, "card_number": REDACTED}:
                wrong.append(sent)
            if got != (b'{"pan":"[redacted]"}', True) or stream.end() != grpc.StatusCode.OK:
                wrong.append(got)

    threads = [threading.Thread(target=run, args=(1000 * n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not wrong, wrong
    text = request(served.admin + "/metrics").body.decode()
    assert "aegis_requests_in_flight 0\n" in text
