"""What every file of deploy/envoy/ must keep to, and that Envoy takes each."""

import pytest
import yaml
from support.envoy_process import DEPLOY, ext_authz, manager

FILES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(DEPLOY.glob("*.yaml"))}


@pytest.mark.parametrize("name", FILES)
def test_a_failure_is_a_no(name):
    config = FILES[name]
    settings = ext_authz(config)
    assert settings["failure_mode_allow"] is False
    assert settings["encode_raw_headers"] is True
    assert settings["validate_mutations"] is True
    assert settings["transport_api_version"] == "V3"
    asked = settings.get("grpc_service") or settings["http_service"]["server_uri"]
    assert asked["timeout"] == "0.5s"
    if body := settings.get("with_request_body"):
        assert body["allow_partial_message"] is False and body["pack_as_bytes"] is True
        limit = config["static_resources"]["listeners"][0]["per_connection_buffer_limit_bytes"]
        assert limit >= body["max_request_bytes"]


@pytest.mark.parametrize("name", FILES)
def test_paths_are_read_in_one_way(name):
    settings = manager(FILES[name])
    assert settings["normalize_path"] is True and settings["merge_slashes"] is True
    assert settings["path_with_escaped_slashes_action"] == "REJECT_REQUEST"
    common = settings["common_http_protocol_options"]
    assert common["headers_with_underscores_action"] == "REJECT_REQUEST"


@pytest.mark.parametrize("name", FILES)
def test_every_aegis_is_watched(name):
    clusters = FILES[name]["static_resources"]["clusters"]
    asked = [cluster for cluster in clusters if cluster["name"].startswith("aegis")]
    assert asked
    for cluster in asked:
        assert cluster["health_checks"]
        assert cluster["common_lb_config"]["healthy_panic_threshold"]["value"] == 0


@pytest.mark.parametrize("name", FILES)
def test_no_route_gets_round_aegis(name):
    """Every host ends in a route for all paths, so that Envoy asks about each; none is exempt."""
    for host in manager(FILES[name])["route_config"]["virtual_hosts"]:
        assert host["routes"][-1]["match"] == {"prefix": "/"}
        for route in [host, *host["routes"]]:
            own = route.get("typed_per_filter_config", {})
            if "disabled" in own.get("envoy.filters.http.ext_authz", {}):
                assert own["envoy.filters.http.ext_proc"]["overrides"] == {}


def test_external_processing_fails_closed():
    named = {f["name"]: f for f in manager(FILES["ext-proc"])["http_filters"]}
    filter_ = named["envoy.filters.http.ext_proc"]
    settings = filter_["typed_config"]
    assert filter_["disabled"] is True and settings["failure_mode_allow"] is False
    unsafe = {"observability_mode", "disable_immediate_response", "mutation_rules", "forward_rules"}
    assert not unsafe & set(settings)
