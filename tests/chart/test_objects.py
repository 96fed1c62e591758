"""What the objects promise, beyond what they look like."""

import pytest
import yaml

from pointsman_server.telemetry.instruments import TABLE
from pointsman_server.upstreams.registry import PROVIDERS
from tests.chart.rendering import CHART, SETS, config_text, container, render, the

SECURED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}


def _pods(objects: list) -> list:
    deployment = the("Deployment", objects)["spec"]["template"]["spec"]
    return [deployment, *(each["spec"] for each in objects if each["kind"] == "Pod")]


@pytest.mark.parametrize("name", SETS)
def test_no_pod_has_rights(name):
    """Also the one of `helm test`: no user of importance, no capability, nothing to write to, the default seccomp."""
    for pod in _pods(render(SETS[name])):
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] >= 10_000
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod.get("hostNetwork")
        for each in pod["containers"]:
            assert each["securityContext"].items() >= SECURED.items()
            assert each["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", SETS)
def test_nothing_selects_the_test_pod_as_a_server(name):
    """Else the Service would send it calls."""
    objects = render(SETS[name])
    selector = the("Deployment", objects)["spec"]["selector"]["matchLabels"]
    template = the("Deployment", objects)["spec"]["template"]["metadata"]["labels"]
    assert template.items() >= selector.items()
    for each in objects:
        if each["kind"] == "Service":
            assert each["spec"]["selector"] == selector
        if each["kind"] == "Pod":
            assert not each["metadata"]["labels"].items() >= selector.items()


@pytest.mark.parametrize("name", SETS)
def test_a_selector_does_not_change_with_the_release_of_the_chart(name):
    """Selectors of a Deployment can never change, so no version stands in them."""
    selector = the("Deployment", render(SETS[name]))["spec"]["selector"]["matchLabels"]
    assert set(selector) == {f"app.kubernetes.io/{key}" for key in ("name", "instance", "component")}


def test_a_changed_configuration_leaves_the_pods_alone():
    """It is read in place: the pod template stays the same, so nothing rolls."""
    before, after = (the("Deployment", render(settings=[f"config.retry.max_attempts={n}"])) for n in (2, 3))
    assert before == after


def test_a_changed_configuration_can_roll_the_pods():
    """A value turns every change into a rollout."""
    sets = [["rollOnConfigChange=true", f"config.retry.max_attempts={n}"] for n in (2, 2, 3)]
    first, same, other = (the("Deployment", render(settings=each))["spec"]["template"] for each in sets)
    assert first == same != other


def test_probes_speak_grpc_in_plain_text_and_http_beside_tls():
    """The kubelet knows no gRPC over TLS."""
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container(render())[probe]["grpc"] == {"port": 50051}
        assert container(render(SETS["production"]))[probe]["httpGet"]["port"] == "ops"
    assert container(render(SETS["production"]))["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container(render(SETS["production"]))["livenessProbe"]["httpGet"]["path"] == "/livez"


@pytest.mark.parametrize("name", SETS)
def test_a_pod_has_longer_to_end_than_its_longest_call(name):
    """PreStop and the whole drain fit in, and calls get as long as they may last."""
    objects = render(SETS[name])
    pod, config = the("Deployment", objects)["spec"]["template"]["spec"], yaml.safe_load(config_text(objects))
    pause = container(objects).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    drain = {"delay_s": 5, "grace_s": 600, "flush_s": 5, **config.get("server", {}).get("drain", {})}
    longest = config.get("deadlines", {}).get("maximum_s", 600)
    assert drain["grace_s"] >= longest
    assert pod["terminationGracePeriodSeconds"] > pause + sum(drain.values())


def test_before_kubernetes_1_30_the_pause_is_a_command():
    """The action `sleep` was not there yet: the API server would drop it."""
    assert container(render(kube="1.29"))["lifecycle"]["preStop"]["exec"]["command"][0] == "python3"
    assert container(render(kube="1.30"))["lifecycle"]["preStop"] == {"sleep": {"seconds": 5}}


@pytest.mark.parametrize("name", SETS)
def test_a_token_is_given_only_for_discovery(name):
    """Whoever breaks into a pod finds nothing to talk to the API server with."""
    objects = render(SETS[name])
    discovers = "kubernetes" in config_text(objects)
    assert the("Deployment", objects)["spec"]["template"]["spec"]["automountServiceAccountToken"] == discovers
    assert ("Role" in {each["kind"] for each in objects}) == discovers
    assert "ClusterRole" not in {each["kind"] for each in objects}


def test_the_network_policy_denies_and_opens_what_the_configuration_needs():
    """Ports of URLs, of a proxy in place of what is behind it, 443 for hosted backends; never cloud metadata."""
    policy = the("NetworkPolicy", render(SETS["everything"]), suffix="router")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    _, rule, own = policy["egress"]
    assert {str(port["port"]) for port in rule["ports"]} == {"80", "443", "3128"}
    assert all(
        "169.254.0.0/16" in to["ipBlock"]["except"]
        for to in rule["to"]
        if "." in to.get("ipBlock", {}).get("cidr", "")
    )
    assert own == {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}


def test_without_backends_nothing_but_names_may_go_out():
    """The simulator calls nobody."""
    (rule,) = the("NetworkPolicy", render(), suffix="pointsman")["spec"]["egress"]
    assert {port["port"] for port in rule["ports"]} == {53}


def test_the_autoscaler_asks_for_a_metric_that_there_is():
    """Its name is one that the service exports."""
    (metric,) = [
        m
        for m in the("HorizontalPodAutoscaler", render(SETS["production"]))["spec"]["metrics"]
        if "pods" in m
    ]
    assert metric["pods"]["metric"]["name"] in {row.name for row in TABLE}
    triggers = the("ScaledObject", render(SETS["keda"]))["spec"]["triggers"]
    assert metric["pods"]["metric"]["name"] in triggers[0]["metadata"]["query"]


def test_an_autoscaler_begins_with_its_least_and_can_be_left_alone():
    """A first installation has the least; tools that cannot look the number up get none."""
    on = ["autoscaling.enabled=true", "autoscaling.minReplicas=3"]
    assert the("Deployment", render(settings=on))["spec"]["replicas"] == 3
    off = [*on, "autoscaling.keepReplicas=false"]
    assert "replicas" not in the("Deployment", render(settings=off))["spec"]


@pytest.mark.parametrize("provider", [name for name, each in PROVIDERS.items() if each.profile.default_url])
def test_the_chart_knows_where_a_backend_without_a_url_is(provider):
    """On 443, or in the pod itself: such providers are listed in files/local-providers.json."""
    policy = the(
        "NetworkPolicy", render(settings=[f"config.backends.a.provider={provider}"]), suffix="pointsman"
    )
    ports = [port["port"] for rule in policy["spec"]["egress"][1:] for port in rule["ports"]]
    here = "127.0.0.1" in PROVIDERS[provider].profile.default_url
    assert ports == ([] if here else [443])


def test_the_chart_is_of_the_same_release_as_the_service():
    """AppVersion names the image's default tag."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = (CHART.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{chart["appVersion"]}"' in project
