"""Validates the rendered chart: validate.py FILE…

Kinds of Kubernetes are validated strictly, against the schemas of the oldest and the newest version that the chart is for.
Kinds of operators are validated against custom_resources.json, which has the fields that the chart uses. It was written by
hand from the CRDs of CloudNativePG 1.30, the Prometheus operator 0.93 and the Gateway API 1.4.
"""

import json
import pathlib
import sys

import jsonschema
import kubernetes_validate
import yaml

VERSIONS = ["1.30", "1.37"]
CUSTOM = json.loads((pathlib.Path(__file__).parent / "custom_resources.json").read_text())


def faults(resource):
    """What the schemas and the rules of this project find."""
    custom = CUSTOM.get(f"{resource['apiVersion']}/{resource['kind']}")
    if custom is not None:
        schema = {"$defs": CUSTOM["$defs"], **custom}
        for error in jsonschema.Draft202012Validator(schema).iter_errors(resource):
            yield f"{error.json_path}: {error.message}"
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(resource, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{version}: {'.'.join(map(str, error.path))}: {error.message}"
    yield from pod_faults(resource.get("spec", {}).get("template", {}).get("spec"))


def pod_faults(pod):
    """The restricted profile of the Pod Security Standards, and a root file system that cannot be written to."""
    if pod is None:
        return
    if pod.get("automountServiceAccountToken") is not False:
        yield "the pod has a token"
    security = pod.get("securityContext", {})
    if not security.get("runAsNonRoot") or security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "the pod may run as root, or without a seccomp profile"
    wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    for container in pod.get("initContainers", []) + pod["containers"]:
        if container.get("securityContext") != wanted:
            yield f"container {container['name']}: not restricted"


def main():
    failed = False
    for name in sys.argv[1:]:
        resources = [resource for resource in yaml.safe_load_all(pathlib.Path(name).read_text()) if resource]
        for resource in resources:
            for fault in faults(resource):
                failed = True
                print(f"{name}: {resource['kind']} {resource['metadata']['name']}: {fault}", file=sys.stderr)
        if not failed:
            print(f"{pathlib.Path(name).stem}: {len(resources)} resources are valid")
    sys.exit(failed)


if __name__ == "__main__":
    main()
