"""Admission requests of pods with one to four containers; about half of them are in order."""

import random


def data():
    return {
        "registries": [f"registry-{i}.example.com/" for i in range(6)],
        "labels": {"required": ["app", "owner", "cost-center"]},
        "exempt_namespaces": ["kube-system", "monitoring"],
        "volumes": {"allowed": ["configMap", "secret", "emptyDir", "persistentVolumeClaim"]},
    }


def container(chooser, number, good):
    image = f"registry-{chooser.randrange(6)}.example.com/team/service-{number}:1.{number}.0"
    made = {
        "name": f"container-{number}",
        "image": image,
        "env": [{"name": f"VARIABLE_{i}", "value": str(i)} for i in range(4)],
        "ports": [{"containerPort": 8000 + number, "protocol": "TCP"}],
        "resources": {"limits": {"memory": "256Mi", "cpu": "500m"}},
        "securityContext": {"privileged": False, "runAsNonRoot": True},
    }
    if not good:
        fault = chooser.randrange(4)
        if fault == 0:
            made["image"] = f"docker.io/library/service-{number}:1.0"
        elif fault == 1:
            made["securityContext"]["privileged"] = True
        elif fault == 2:
            made["resources"] = {}
        else:
            made["image"] = image.rsplit(":", 1)[0] + ":latest"
    return made


def inputs():
    chooser = random.Random(7)
    made = []
    for number in range(100):
        good = number % 2 == 0
        labels = {"app": f"app-{number}", "owner": "team-a", "cost-center": "42", "tier": "web"}
        if not good and chooser.random() < 0.3:
            del labels["owner"]
        spec = {
            "containers": [container(chooser, i, good) for i in range(1 + chooser.randrange(4))],
            "volumes": [{"name": "config", "configMap": {"name": "settings"}}],
        }
        if chooser.random() < 0.3:
            spec["initContainers"] = [container(chooser, 9, True)]
        if not good and chooser.random() < 0.2:
            spec["volumes"].append({"name": "host", "hostPath": {"path": "/var/run"}})
        made.append(
            {
                "apiVersion": "admission.k8s.io/v1",
                "kind": "AdmissionReview",
                "request": {
                    "uid": f"0000-{number}",
                    "kind": {"group": "", "version": "v1", "kind": "Pod"},
                    "operation": chooser.choice(["CREATE", "UPDATE"]),
                    "namespace": chooser.choice(["default", "shop", "kube-system", "billing"]),
                    "userInfo": {"username": "deployer", "groups": ["system:authenticated"]},
                    "object": {
                        "metadata": {"name": f"pod-{number}", "labels": labels},
                        "spec": spec,
                    },
                },
            }
        )
    return made
