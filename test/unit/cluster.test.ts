import assert from "node:assert/strict";
import { readClusterPins } from "../../cli/setup/pins.ts";
import { clusterRecipe } from "../../cli/setup/recipes.ts";
import { g4dnXlarge, nodeObject } from "../../lab/cluster/nodes.ts";

describe("nodes of the lab's cluster", () => {
  const node = { name: "one", zone: "eu-west-3b", capacity: "spot" } as const;

  it("give Pods what EKS leaves them", () => {
    const { status } = nodeObject(node);
    assert.deepEqual(status.capacity, { cpu: "4", memory: "16384Mi", pods: "29", "nvidia.com/gpu": "1" });
    // 80 of 4000 millicores are kept; 255 + 11 × 29 + 100 of the mebibytes.
    assert.deepEqual(status.allocatable, { cpu: "3920m", memory: "15710Mi", pods: "29", "nvidia.com/gpu": "1" });
    const large = nodeObject({
      ...node,
      instance: { name: "m5.4xlarge", cpus: 16, memoryMiB: 65_536, gpus: 0, pods: 234 },
    });
    assert.deepEqual(large.status.allocatable, { cpu: "15890m", memory: "62607Mi", pods: "234" });
  });

  it("bear the labels of the one that made them, and of no other", () => {
    const karpenter = nodeObject(node).metadata.labels;
    const group = nodeObject({ ...node, provisioner: "managed-group" }).metadata.labels;
    const of = (labels: Readonly<Record<string, string>>, domain: string): Record<string, string> =>
      Object.fromEntries(Object.entries(labels).filter(([name]) => name.split("/")[0]?.endsWith(domain)));
    assert.deepEqual(of(karpenter, "karpenter.sh"), {
      "karpenter.sh/capacity-type": "spot",
      "karpenter.sh/nodepool": "gpu",
    });
    assert.deepEqual(of(karpenter, "amazonaws.com"), {});
    assert.deepEqual(of(group, "karpenter.sh"), {});
    assert.equal(group["eks.amazonaws.com/capacityType"], "SPOT");
    for (const labels of [karpenter, group]) {
      assert.equal(labels["topology.kubernetes.io/zone"], "eu-west-3b");
      assert.equal(labels["topology.kubernetes.io/region"], "eu-west-3");
      assert.equal(labels["node.kubernetes.io/instance-type"], g4dnXlarge.name);
    }
  });
});

describe("the control plane's build", () => {
  it("is another one for other versions", async () => {
    const pins = readClusterPins();
    for (const version of Object.values(pins)) assert.match(version, /^\d+\.\d+\.\d+$/);
    const { key, version } = await clusterRecipe(pins);
    assert.equal(version, pins.kubernetes);
    assert.equal((await clusterRecipe(pins)).key, key);
    assert.notEqual((await clusterRecipe({ ...pins, helm: "3.0.0" })).key, key);
  });
});
