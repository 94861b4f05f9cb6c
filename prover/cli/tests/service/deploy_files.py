"""Reads the files under `deploy/`, checks their form, and prints every vinfer command that they run, as JSON.

Kubernetes manifests are checked against the schemas that the package kubernetes-validate carries. Argument: the directory.
"""

import json
import pathlib
import re
import sys

import kubernetes_validate
import yaml

deploy = pathlib.Path(sys.argv[1])
commands = []


def environment(values):
    return {item["name"]: item.get("value", "nats://nats:4222" if "valueFrom" in item else "") for item in values}


def kubernetes(path):
    objects = list(yaml.safe_load_all(path.read_text()))
    named = {(item["kind"], item["metadata"]["name"]) for item in objects}
    pods = []
    for item in objects:
        kubernetes_validate.validate(item, "1.34", strict=True)
        if item["kind"] in ("Deployment", "StatefulSet"):
            spec = item["spec"]
            labels = spec["template"]["metadata"]["labels"]
            assert spec["selector"]["matchLabels"].items() <= labels.items(), item["metadata"]
            pods.append((labels, spec["template"]["spec"], spec.get("volumeClaimTemplates", [])))
    assert pods, path
    for labels, pod, claims in pods:
        volumes = {volume["name"] for volume in pod.get("volumes", [])} | {claim["metadata"]["name"] for claim in claims}
        resource_claims = {claim["name"]: claim["resourceClaimTemplateName"] for claim in pod.get("resourceClaims", [])}
        assert all(("ResourceClaimTemplate", template) in named for template in resource_claims.values())
        assert pod["securityContext"]["runAsNonRoot"] and pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] and context["capabilities"]["drop"] == ["ALL"]
            assert context["allowPrivilegeEscalation"] is False
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert {claim["name"] for claim in container["resources"].get("claims", [])} <= set(resource_claims)
            ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
            probes = {
                name: (container[name]["httpGet"]["path"], ports[container[name]["httpGet"]["port"]])
                for name in ("startupProbe", "livenessProbe", "readinessProbe")
                if name in container
            }
            if not container["image"].startswith("vinfer"):
                continue
            values = environment(container["env"])
            mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
            commands.append(dict(file=path.name, args=container["args"], env=values, ports=ports, probes=probes, mounts=sorted(mounts)))
    # Whatever selects pods selects some that exist here, and names ports that they have.
    for item in objects:
        kind, spec = item["kind"], item["spec"]
        selectors = {"Service": lambda: spec["selector"], "PodDisruptionBudget": lambda: spec["selector"]["matchLabels"],
                     "NetworkPolicy": lambda: spec["podSelector"]["matchLabels"]}
        if kind in selectors:
            chosen = [pod for labels, pod, _ in pods if selectors[kind]().items() <= labels.items()]
            assert chosen, (path, kind, item["metadata"]["name"])
            names = {port["name"] for pod in chosen for container in pod["containers"] for port in container.get("ports", [])}
            if kind == "Service":
                assert {port["targetPort"] for port in spec["ports"]} <= names
            for rule in spec.get("ingress", []) if kind == "NetworkPolicy" else []:
                assert {port["port"] for port in rule["ports"]} <= names, item["metadata"]


def compose(path):
    known = {"image", "build", "command", "environment", "ports", "volumes", "networks", "depends_on", "deploy", "restart", "healthcheck",
             "stop_grace_period", "read_only", "tmpfs", "cap_drop", "security_opt"}
    file = yaml.safe_load(path.read_text())
    assert set(file) == {"name", "services", "volumes", "networks"}, set(file)
    for name, service in file["services"].items():
        assert set(service) <= known, (name, set(service) - known)
        for other, condition in service.get("depends_on", {}).items():
            assert "healthcheck" in file["services"][other] and condition == {"condition": "service_healthy"}
        for volume in service.get("volumes", []):
            assert volume.startswith("/") or volume.split(":")[0] in file["volumes"], volume
        assert set(service["networks"]) <= set(file["networks"])
        if service["image"] != "vinfer":
            continue
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        published = {str(number): int(port.rsplit(":", 1)[1]) for number, port in enumerate(service.get("ports", []))}
        mounts = [volume.split(":")[-1] for volume in service["volumes"]] + service["tmpfs"]
        commands.append(dict(file=path.name, args=service["command"], env=service["environment"], ports=published, probes={}, mounts=mounts))
        if "build" in service:
            assert (path.parent / service["build"]["context"] / service["build"]["dockerfile"]).exists()


def akash(path):
    file = yaml.safe_load(path.read_text())
    assert set(file) == {"version", "services", "profiles", "deployment"} and file["version"] == "2.0"
    for name, service in file["services"].items():
        assert set(service) == {"image", "args", "env", "expose", "params"}
        for place, wanted in file["deployment"][name].items():
            compute = file["profiles"]["compute"][wanted["profile"]]["resources"]
            assert set(compute) == {"cpu", "memory", "storage"} and name in file["profiles"]["placement"][place]["pricing"]
            named = {storage["name"] for storage in compute["storage"] if "name" in storage}
            assert set(service["params"]["storage"]) <= named
        ports = {str(number): expose["port"] for number, expose in enumerate(service["expose"])}
        mounts = [storage["mount"] for storage in service["params"]["storage"].values()]
        values = dict(item.split("=", 1) for item in service["env"])
        commands.append(dict(file=path.name, args=service["args"], env=values, ports=ports, probes={}, mounts=mounts))


def dockerfile(path):
    text = path.read_text().replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    last = [line[0] for line in lines].index("FROM", 1)
    final = {name: value for name, value in lines[last:]}
    assert re.fullmatch(r"\d+:\d+", final["USER"]) and not final["USER"].startswith("0"), "not as root"
    assert json.loads(final["ENTRYPOINT"]) == ["/usr/local/bin/vinfer"]
    json.loads(final["CMD"])
    health = json.loads(final["HEALTHCHECK"].split("CMD", 1)[1])
    ports = {str(number): int(port) for number, port in enumerate(final["EXPOSE"].split())}
    commands.append(dict(file=path.name, args=health[1:], env={}, ports=ports, probes={}, mounts=["/data"]))


for path in sorted((deploy / "kubernetes").glob("*.yaml")):
    kubernetes(path)
compose(deploy / "compose.yaml")
akash(deploy / "akash.yaml")
dockerfile(deploy / "Dockerfile")
print(json.dumps(commands))
