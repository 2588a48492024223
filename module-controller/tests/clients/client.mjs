// What users of @kubernetes/client-node do: create, list, watch until a change is seen, patch, delete.
import { CustomObjectsApi, KubeConfig, Watch, setHeaderOptions } from "@kubernetes/client-node";

const config = new KubeConfig();
config.loadFromFile(process.argv[2]);
const objects = config.makeApiClient(CustomObjectsApi);
const at = { group: "serverless.alipay.com", version: "v1alpha1", namespace: "default", plural: "moduledeployments" };
const body = {
  apiVersion: "serverless.alipay.com/v1alpha1", kind: "ModuleDeployment", metadata: { name: "js" },
  spec: { baseDeploymentName: "default", replicas: 1, template: { spec: { module: { name: "js", version: "1.0.0", url: "http://packages/js.wasm" } } } },
};
await objects.createNamespacedCustomObject({ ...at, body });
const listed = await objects.listNamespacedCustomObject(at);
if (listed.items.length !== 1) throw new Error(`listed ${listed.items.length}`);
const seen = await new Promise((resolve, reject) => {
  const path = `/apis/${at.group}/${at.version}/namespaces/default/${at.plural}`;
  new Watch(config).watch(path, {}, (type, object) => {
    if (type === "ADDED") {
      objects.patchNamespacedCustomObject(
        { ...at, name: "js", body: { spec: { replicas: 2 } } }, setHeaderOptions("Content-Type", "application/merge-patch+json"),
      ).catch(reject);
    } else if (type === "MODIFIED") {
      resolve(object.spec.replicas);
    }
  }, (error) => reject(error ?? new Error("the watch ended"))).catch(reject);
});
await objects.deleteNamespacedCustomObject({ ...at, name: "js" });
try {
  await objects.getNamespacedCustomObject({ ...at, name: "js" });
} catch (error) {
  console.log(`replicas=${seen} gone=${error.code}`);
  process.exit(0);
}
throw new Error("it is still there");
