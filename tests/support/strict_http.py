"""A second reader of HTTP/1.1 requests and their params, written apart from the one in Aegis.

It reads what a tool received as RFC 9112 and RFC 8259 say, and names what another program might
read in another way: where it cannot tell where the message ends, or what a field is, it gives up
(`Unreadable`); elsewhere it goes on and notes a doubt.
"""

import dataclasses
import json
import re
import urllib.parse

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
REQUEST_LINE = re.compile(rb"([!-~]+) ([^\x00-\x20\x7f]+) HTTP/(\d\.\d)")
HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(:[0-9]{1,5})?")


class Unreadable(Exception):
    """The bytes are no request, or could be several different ones."""


@dataclasses.dataclass
class Message:
    method: str
    target: str
    version: str
    fields: list[tuple[str, str]]  # names in lower case
    body: bytes = b""
    doubts: list[str] = dataclasses.field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.fields if known == name]

    def get(self, name: str) -> str:
        return ", ".join(self.all(name))


def read(data: bytes) -> tuple[Message, int] | None:
    """The first request in `data` and its size; None: it is not whole yet."""
    end = data.find(b"\r\n\r\n")
    head = data if end < 0 else data[: end + 2]
    if re.search(rb"(?<!\r)\n", head) or re.search(rb"\r(?!\n|$)", head):
        raise Unreadable("bare CR or LF")
    if end < 0:
        return None
    message = _head(head.split(b"\r\n")[:-1])
    at = end + 4
    lengths, codings = message.all("content-length"), message.all("transfer-encoding")
    if lengths and codings:
        raise Unreadable("Content-Length and Transfer-Encoding")
    if codings:
        if [coding.lower() for coding in codings] != ["chunked"] or message.version != "1.1":
            raise Unreadable(f"Transfer-Encoding {codings} in HTTP/{message.version}")
        return _chunked(message, data, at)
    if lengths:
        if len(lengths) > 1 or not re.fullmatch("0|[1-9][0-9]{0,17}", lengths[0]):
            raise Unreadable(f"Content-Length {lengths}")
        size = int(lengths[0])
        if len(data) - at < size:
            return None
        message.body = data[at : at + size]
        at += size
    return message, at


def _head(lines: list[bytes]) -> Message:
    parts = REQUEST_LINE.fullmatch(lines[0])
    if not parts or not TOKEN.fullmatch(parts[1]):
        raise Unreadable("request line")
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.fullmatch(name):  # a folded line begins with a space: no token
            raise Unreadable("field name")
        if not VALUE.fullmatch(value):
            raise Unreadable("field value")
        fields.append((name.decode().lower(), value.strip(b" \t").decode("latin-1")))
    message = Message(parts[1].decode(), parts[2].decode("latin-1"), parts[3].decode(), fields)
    if message.version not in ("1.0", "1.1"):
        raise Unreadable("version")
    hosts = message.all("host")
    if len(hosts) != 1 or not HOST.fullmatch(hosts[0].encode("latin-1")):
        message.doubts.append("Host")
    if message.method != message.method.upper():
        message.doubts.append("method in lower case")
    message.doubts += _target_doubts(message.target)
    for value in (value for _, value in fields):
        try:
            value.encode("latin-1").decode("utf-8")
        except UnicodeError:
            message.doubts.append("field value not UTF-8")
    return message


def _target_doubts(target: str) -> list[str]:
    if not target.startswith("/"):
        return ["not origin-form"]
    found = []
    path, _, query = target.partition("?")
    if "#" in target:
        found.append("fragment")
    if re.search("%(?![0-9A-Fa-f]{2})", target):
        return [*found, "broken percent-encoding"]
    if re.search("[^!-~]", target) or re.search(r'["<>^`{|}\\]', path):
        found.append("bytes that a path must encode")
    raw = urllib.parse.unquote_to_bytes(path)
    if raw.count(b"/") != path.count("/"):
        found.append("encoded slash")
    if re.search(rb"[\x00-\x1f\x7f\\%]", raw):
        found.append("control byte, backslash or % encoded")
    if b";" in raw:
        found.append("path parameter")
    if re.search(rb"//|(/|^)\.{1,2}(/|;|$)", raw):
        found.append("dot segment or empty segment")
    try:
        raw.decode("utf-8")
    except UnicodeError:
        found.append("path not UTF-8")
    if ";" in query:
        found.append("';' in the query")
    return found


def _chunked(message: Message, data: bytes, at: int) -> tuple[Message, int] | None:
    while True:
        end = data.find(b"\n", at)
        line = data[at:] if end < 0 else data[at : end + 1]
        if end < 0:
            return None
        size = re.fullmatch(rb"([0-9A-Fa-f]{1,15})([ \t]*;[\t -~]*)?\r\n", line)
        if not size:
            raise Unreadable("chunk size")
        if size[2]:
            message.doubts.append("chunk extension")
        count = int(size[1], 16)
        at = end + 1
        if count == 0:
            break
        if len(data) < at + count + 2:
            return None
        if data[at + count : at + count + 2] != b"\r\n":
            raise Unreadable("chunk longer than its size")
        message.body += data[at : at + count]
        at += count + 2
    while True:
        end = data.find(b"\n", at)
        if end < 0:
            return None
        line = data[at : end + 1]
        at = end + 1
        if line == b"\r\n":
            return message, at
        name, colon, _ = line.partition(b":")
        if not line.endswith(b"\r\n") or not colon or not TOKEN.fullmatch(name):
            raise Unreadable("trailer")
        message.doubts.append("trailer")


# --- params ---------------------------------------------------------------------------------


class Number(str):
    """A JSON number as it is written."""


def _object(pairs):
    folded = [name.casefold() for name, _ in pairs]
    if len(set(folded)) != len(folded):
        raise Unreadable("a name twice in one object")
    return dict(pairs)


def _constant(text):
    raise Unreadable(f"JSON with {text}")


def read_json(body: bytes):
    """RFC 8259 and RFC 7493: UTF-8 without a mark, no name twice, no lone surrogate."""
    try:
        text = body.decode("utf-8")
        if text.startswith("\ufeff"):
            raise Unreadable("byte order mark")
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=Number,
            parse_float=Number,
            parse_constant=_constant,
        )
        canonical(value).encode("utf-8")
        return value
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"JSON: {error}") from None


def read_pairs(text: bytes) -> dict[str, str]:
    """application/x-www-form-urlencoded, where no name comes twice."""
    found: dict[str, str] = {}
    for pair in filter(None, text.split(b"&")):
        if re.search(rb"%(?![0-9A-Fa-f]{2})", pair) or b";" in pair:
            raise Unreadable("pairs: percent or ';'")
        name, value = (
            urllib.parse.unquote_to_bytes(part.replace(b"+", b" "))
            for part in (pair.partition(b"=")[0], pair.partition(b"=")[2])
        )
        try:
            name, value = name.decode("utf-8"), value.decode("utf-8")
        except UnicodeError:
            raise Unreadable("pairs: not UTF-8") from None
        if not name or name in found or re.search(r"[\x00-\x1f\[\]]", name):
            raise Unreadable("pairs: name empty, twice or nested")
        found[name] = value
    return found


def read_params(message: Message) -> dict:
    """What a tool takes for the call's params; Unreadable: tools differ."""
    types, codings = message.all("content-type"), message.all("content-encoding")
    if len(types) > 1 or any(coding.lower() != "identity" for coding in codings):
        raise Unreadable("Content-Type twice, or a Content-Encoding")
    declared, _, parameters = (types or [""])[0].partition(";")
    declared = declared.strip().lower()
    charset = re.fullmatch(r'\s*(charset="?(utf-8|us-ascii)"?)?\s*', parameters, re.IGNORECASE)
    params: dict = {}
    looks = message.body.lstrip(b"\xef\xbb\xbf\xfe\xff\x00\t\n\r ")[:1] in (b"{", b"[")
    if declared == "application/json" or declared.endswith("+json") or (looks and message.body):
        params = read_json(message.body) if message.body else {}
        if not isinstance(params, dict):
            raise Unreadable("JSON that is no object")
    elif declared == "application/x-www-form-urlencoded":
        params = read_pairs(message.body)
    elif message.body and not re.fullmatch(
        r"(image|audio|video|font)/[a-z0-9.+-]+|application/(octet-stream|pdf|zip|gzip)|text/(plain|csv)",
        declared,
    ):
        raise Unreadable(f"a body of type {declared or 'unknown'}")
    if message.body and not charset and "charset" in parameters.lower():
        raise Unreadable("charset")
    query = read_pairs(message.target.partition("?")[2].encode("latin-1"))
    if {name.casefold() for name in query} & {name.casefold() for name in params}:
        raise Unreadable("a param in query and body")
    return params | query


def canonical(value) -> str:
    """JSON with names in the order of their bytes, no white space, and numbers as written."""
    if isinstance(value, dict):
        members = sorted(value.items(), key=lambda member: member[0].encode("utf-8"))
        return "{" + ",".join(f"{canonical(k)}:{canonical(v)}" for k, v in members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return value if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)
