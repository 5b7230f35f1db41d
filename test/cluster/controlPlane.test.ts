import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as z from "zod";
import type { ClusterTools } from "../../cli/setup/cluster.ts";
import { run } from "../../cli/setup/process.ts";
import { ApiRefusal } from "../../lab/cluster/api.ts";
import { type RunningCluster, startCluster } from "../../lab/cluster/index.ts";
import { addNode, drain, podsOn, removeNode, taintNoExecute, waitFor } from "../../lab/cluster/nodes.ts";
import { type Pod, anything, jobForm, nodeForm, nodeList, podForm } from "../../lab/cluster/objects.ts";
import {
  clusterToolsOrSkip,
  job,
  jobs,
  listeningAddresses,
  podSpec,
  pods,
  processesNaming,
  runningPod,
  runningPodOf,
} from "../support/cluster.ts";

const zoneLabel = "topology.kubernetes.io/zone";

describe("a control plane of one's own", () => {
  let tools: ClusterTools;
  let parent: string;
  let cluster: RunningCluster;

  before(async function () {
    tools = await clusterToolsOrSkip(this);
    parent = mkdtempSync(join(tmpdir(), "hive-cluster-test-"));
    cluster = await startCluster({ programs: tools, parent });
  });
  after(async () => {
    await cluster?.close();
    if (parent !== undefined) rmSync(parent, { recursive: true });
  });

  const createPod = async (name: string, spec: Record<string, unknown>): Promise<Pod> =>
    cluster.api.create(podForm, pods, { apiVersion: "v1", kind: "Pod", metadata: { name }, spec });
  const zoneOf = async ({ spec }: Pod): Promise<string> =>
    (await cluster.api.get(nodeForm, `/api/v1/nodes/${spec.nodeName}`)).metadata.labels[zoneLabel] ?? "";
  const isForbidden = (error: unknown): boolean =>
    error instanceof ApiRefusal && error.status === 403 && error.reason === "Forbidden";

  it("is what the pins name, and helm speaks with it", async () => {
    const { versions } = tools;
    const version = await cluster.api.get(z.looseObject({ gitVersion: z.string() }), "/version");
    assert.equal(version.gitVersion, `v${versions.kubernetes}`);
    const said = async (file: string, ...args: string[]): Promise<string> => (await run(file, args)).stdout;
    assert.match(
      await said(tools.controlPlane, "etcd", "--version"),
      new RegExp(`^etcd Version: ${versions.etcd}$`, "m"),
    );
    assert.match(await said(tools.kwok, "--version"), new RegExp(`\\bv?${versions.kwok}\\b`));
    assert.match(await said(tools.helm, "version", "--template={{.Version}}"), new RegExp(`^v${versions.helm}$`));
    const listed = await run(tools.helm, ["--kubeconfig", cluster.kubeconfigFile, "list", "--output=json"]);
    assert.equal(listed.stdout.trim(), "[]", listed.stderr);
  });

  it("knows nobody without a token, and refuses a wrong one", async () => {
    const asked = async (token: string | undefined): Promise<number> =>
      (await cluster.api.as(token).call({ method: "GET", path: pods })).status;
    assert.equal(await asked(undefined), 403);
    assert.equal(await asked("wrong"), 401);
  });

  it("listens on loopback alone, and its files are its owner's alone", () => {
    const pids = cluster.pids();
    assert.deepEqual(Object.keys(pids).sort(), [
      "etcd",
      "kube-apiserver",
      "kube-controller-manager",
      "kube-scheduler",
      "kwok",
    ]);
    const addresses = Object.entries(pids).map(([name, pid]) => [name, [...new Set(listeningAddresses(pid))]]);
    assert.deepEqual(Object.fromEntries(addresses), {
      etcd: ["0100007F"],
      "kube-apiserver": ["0100007F"],
      "kube-controller-manager": [],
      "kube-scheduler": [],
      kwok: [],
    });
    assert.equal(statSync(cluster.folder).mode & 0o777, 0o700);
    const certificates = join(cluster.folder, "certificates");
    for (const name of readdirSync(certificates))
      assert.equal(statSync(join(certificates, name)).mode & 0o777, 0o600, name);
    assert.equal(statSync(cluster.kubeconfigFile).mode & 0o777, 0o600);
  });

  it("gives a service account what a role says and no more", async () => {
    const { api } = cluster;
    const accounts = "/api/v1/namespaces/default/serviceaccounts";
    const rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    await api.create(anything, accounts, { metadata: { name: "reader" } });
    const { status } = await api.create(
      z.looseObject({ status: z.looseObject({ token: z.string() }) }),
      `${accounts}/reader/token`,
      { spec: {} },
    );
    const reader = api.as(status.token);
    await assert.rejects(reader.get(anything, pods), isForbidden);
    const rules = [{ apiGroups: [""], resources: ["pods"], verbs: ["list"] }];
    await api.create(anything, `${rbac}/roles`, { metadata: { name: "reader" }, rules });
    await api.create(anything, `${rbac}/rolebindings`, {
      metadata: { name: "reader" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "reader" },
      subjects: [{ kind: "ServiceAccount", name: "reader", namespace: "default" }],
    });
    await waitFor("the role is in force", async () =>
      (await reader.call({ method: "GET", path: pods })).status === 200 ? true : undefined,
    );
    await assert.rejects(reader.get(anything, "/api/v1/namespaces/default/secrets"), isForbidden);
    await assert.rejects(reader.remove(`${pods}/none`), isForbidden);
  });

  it("has nodes as a provisioner makes them, in three zones, kept alive by leases", async () => {
    const { items } = await cluster.api.get(nodeList, "/api/v1/nodes");
    const zones = items.map(({ metadata }) => metadata.labels[zoneLabel]).sort();
    assert.deepEqual(zones, ["eu-west-3a", "eu-west-3b", "eu-west-3c"]);
    for (const { metadata, status } of items) {
      assert.equal(metadata.labels["karpenter.sh/capacity-type"], "spot");
      assert.equal(metadata.labels["node.kubernetes.io/instance-type"], "g4dn.xlarge");
      assert.equal(status.allocatable["nvidia.com/gpu"], "1");
      await cluster.api.get(
        anything,
        `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${metadata.name}`,
      );
    }
  });

  it("places a Pod in the zone that it asks for, and gives each GPU once", async () => {
    const { api } = cluster;
    const inC = { nodeSelector: { [zoneLabel]: "eu-west-3c" } };
    await createPod("first", podSpec(inC, 1));
    const first = await runningPod(api, "first");
    assert.equal(await zoneOf(first), "eu-west-3c");
    assert.equal(first.metadata.labels[zoneLabel], "eu-west-3c");
    await createPod("second", podSpec(inC, 1));
    const why = await waitFor("the scheduler says why", async () =>
      (await api.get(podForm, `${pods}/second`)).status.conditions.find(({ type }) => type === "PodScheduled"),
    );
    assert.deepEqual([why.status, why.reason], ["False", "Unschedulable"]);
    await api.remove(`${pods}/first`);
    assert.equal(await zoneOf(await runningPod(api, "second")), "eu-west-3c");
    await api.remove(`${pods}/second`);
  });

  it("completes a Job whose Pod says how long it runs", async () => {
    await cluster.api.create(anything, jobs, job("short", "200ms"));
    const done = await waitFor("the Job is done", async () => {
      const now = await cluster.api.get(jobForm, `${jobs}/short`);
      return now.status.succeeded + now.status.failed > 0 ? now : undefined;
    });
    assert.deepEqual([done.status.succeeded, done.status.failed], [1, 0]);
  });

  it("moves a Job's Pod to another zone when its node is tainted", async () => {
    const { api } = cluster;
    await api.create(anything, jobs, job("long", undefined));
    const before = await runningPodOf(api, "job-name=long");
    await taintNoExecute(api, before.spec.nodeName, "lab.hive/interrupted");
    // The Job's controller waits for ten seconds after a first failure, for twenty after the next, and so on.
    const after = await runningPodOf(api, "job-name=long", before);
    assert.notEqual(await zoneOf(after), await zoneOf(before));
    // A disruption is no failure of the Job: it still waits for its Pod to end.
    const now = await api.get(jobForm, `${jobs}/long`);
    assert.deepEqual([now.status.succeeded, now.status.failed], [0, 0]);
    await api.remove(`${jobs}/long`);
  });

  it("moves a Pod to another node when its own is drained", async () => {
    const { api } = cluster;
    const app = { app: "set" };
    await api.create(anything, "/apis/apps/v1/namespaces/default/replicasets", {
      metadata: { name: "set" },
      spec: {
        replicas: 1,
        selector: { matchLabels: app },
        template: { metadata: { labels: app }, spec: podSpec({ restartPolicy: "Always" }) },
      },
    });
    const before = await runningPodOf(api, "app=set");
    await drain(api, before.spec.nodeName);
    const after = await runningPodOf(api, "app=set", before);
    assert.notEqual(after.spec.nodeName, before.spec.nodeName);
    await api.remove("/apis/apps/v1/namespaces/default/replicasets/set");
  });

  it("takes a node in and lets it go with its Pods", async () => {
    const { api } = cluster;
    const node = { name: "extra", zone: "eu-west-3b", capacity: "on-demand", provisioner: "managed-group" } as const;
    const added = await addNode(api, node);
    assert.equal(added.metadata.labels["eks.amazonaws.com/capacityType"], "ON_DEMAND");
    await createPod("guest", podSpec({ nodeSelector: { "eks.amazonaws.com/nodegroup": "gpu-on-demand" } }));
    assert.equal((await runningPod(api, "guest")).spec.nodeName, "extra");
    await removeNode(api, "extra");
    assert.deepEqual(await podsOn(api, "extra"), []);
    await assert.rejects(api.get(nodeForm, "/api/v1/nodes/extra"), (error) => {
      assert.ok(error instanceof ApiRefusal);
      assert.deepEqual([error.status, error.reason], [404, "NotFound"]);
      return true;
    });
  });

  it("leaves no process and no folder", async () => {
    assert.equal(processesNaming(cluster.folder).length >= 5, true);
    await cluster.close();
    assert.deepEqual(processesNaming(cluster.folder), []);
    assert.equal(existsSync(cluster.folder), false);
    assert.deepEqual(readdirSync(parent), []);
  });
});
