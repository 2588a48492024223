# What users of Python's `kubernetes` do: create, list, watch until a change is seen, patch, delete.
import sys

from kubernetes import client, config, watch

config.load_kube_config(config_file=sys.argv[1])
objects = client.CustomObjectsApi()
at = ("koupleless.io", "v1alpha1", "default", "moduledeployments")
body = {
    "apiVersion": "koupleless.io/v1alpha1", "kind": "ModuleDeployment", "metadata": {"name": "py"},
    "spec": {
        "baseDeploymentName": "default", "replicas": 1,
        "template": {"spec": {"module": {"name": "py", "version": "1.0.0", "url": "http://packages/py.wasm"}}},
    },
}
objects.create_namespaced_custom_object(*at, body)
listed = objects.list_namespaced_custom_object(*at)
assert len(listed["items"]) == 1, listed
watcher = watch.Watch()
for event in watcher.stream(objects.list_namespaced_custom_object, *at, timeout_seconds=30):
    if event["type"] == "ADDED":
        objects.patch_namespaced_custom_object_scale(*at, "py", {"spec": {"replicas": 2}})
    elif event["type"] == "MODIFIED":
        seen = event["object"]["spec"]["replicas"]
        watcher.stop()
events = client.CoreV1Api().list_namespaced_event("default")
objects.delete_namespaced_custom_object(*at, "py")
try:
    objects.get_namespaced_custom_object(*at, "py")
except client.ApiException as error:
    print(f"replicas={seen} gone={error.status} events={len(events.items)}")
