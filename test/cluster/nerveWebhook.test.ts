import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type Server, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KubeApi } from "../../lab/cluster/api.ts";
import { type RunningCluster, startCluster } from "../../lab/cluster/index.ts";
import { waitFor } from "../../lab/cluster/nodes.ts";
import { type Pod, anything, podForm, podList } from "../../lab/cluster/objects.ts";
import { admit } from "../../runtime-agent/src/nerve/core/admission.ts";
import { fieldsOf } from "../../runtime-agent/src/nerve/core/annotations.ts";
import { type Webhook, startWebhook } from "../../runtime-agent/src/nerve/webhook/server.ts";
import { realClock } from "../../runtime-agent/src/shared/clock.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";
import { clusterToolsOrSkip, jobs, podSpec, pods, runningPodOf } from "../support/cluster.ts";
import { asyncLabel, asyncPod, patient, rules } from "../support/nerve.ts";
import {
  type Authority,
  type CertificatePlace,
  certificatePlace,
  mount,
  newAuthority,
} from "../support/nerveWebhook.ts";

const ownNamespace = "nerve-system";
const hold = "nerve.io/hold";
const configurations = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/** As the chart will have it, but by address: no Service is routed here. */
function configuration(name: string, ca: string, port: number): Record<string, unknown> {
  const own = { key: "kubernetes.io/metadata.name", operator: "NotIn", values: ["kube-system", ownNamespace] };
  return {
    metadata: { name },
    webhooks: [
      {
        name: "hold.nerve.io",
        clientConfig: { url: `https://127.0.0.1:${port}/admit`, caBundle: Buffer.from(ca).toString("base64") },
        rules: [
          { operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], scope: "Namespaced" },
        ],
        objectSelector: { matchLabels: asyncLabel },
        namespaceSelector: { matchExpressions: [own] },
        ...{ failurePolicy: "Ignore", timeoutSeconds: 1, sideEffects: "None", admissionReviewVersions: ["v1"] },
        reinvocationPolicy: "IfNeeded",
      },
    ],
  };
}

const gates = ({ spec }: Pod): readonly string[] => spec.schedulingGates.map(({ name }) => name);

describe("Nerve's webhook before a real API server", () => {
  let cluster: RunningCluster;
  let api: KubeApi;
  let parent: string;
  let place: CertificatePlace;
  let authority: Authority;
  let webhook: Webhook;
  /** Pods that it was asked about, by their label `app`. */
  const asked: unknown[] = [];

  const start = (port: number): Promise<Webhook> =>
    startWebhook({
      ...{ listen: { host: "127.0.0.1", port }, files: place, reloadMs: 3_600_000, clock: realClock() },
      log: createLog({ write: () => undefined }),
      admit(review) {
        const { object } = fieldsOf(fieldsOf(review)["request"]);
        asked.push(fieldsOf(fieldsOf(fieldsOf(object)["metadata"])["labels"])["app"]);
        return admit(review, rules, Date.now());
      },
    });

  before(async function () {
    const programs = await clusterToolsOrSkip(this);
    parent = mkdtempSync(join(tmpdir(), "hive-nerve-cluster-"));
    place = certificatePlace(parent);
    authority = await newAuthority("nerve");
    mount(place, await authority.issue());
    [cluster, webhook] = await Promise.all([startCluster({ programs, parent }), start(0)]);
    ({ api } = cluster);
    await api.create(anything, "/api/v1/namespaces", { metadata: { name: ownNamespace } });
    await api.create(anything, configurations, configuration("nerve", authority.ca, webhook.port));
    await waitFor("the webhook is asked", async () => (gates(await tried("first")).length > 0 ? true : undefined));
  });
  after(async () => {
    await cluster?.close();
    await webhook?.close();
    if (parent !== undefined) rmSync(parent, { recursive: true });
  });

  const labels = (app: string): Record<string, string> => ({ ...asyncLabel, app });
  const dryRun = (collection: string): string => `${collection}?dryRun=All`;
  /** What the API server would make of a job's Pod; it is not kept. */
  const tried = (app: string, annotations = patient, spec: Record<string, unknown> = {}): Promise<Pod> =>
    api.create(podForm, dryRun(pods), asyncPod(annotations, podSpec(spec), { labels: labels(app) }));
  const startJob = (app: string, spec: Record<string, unknown> = {}, parallelism = 1, annotations = patient) =>
    api.create(anything, jobs, {
      metadata: { name: app },
      spec: {
        parallelism,
        completions: parallelism,
        template: { metadata: { labels: labels(app), annotations }, spec: podSpec(spec) },
      },
    });
  const podsOf = (app: string, number: number): Promise<readonly Pod[]> =>
    waitFor(`${number} Pods of ${app}`, async () => {
      const { items } = await api.get(podList, `${pods}?labelSelector=app%3D${app}`);
      return items.length >= number ? items : undefined;
    });

  it("holds a Job's Pod until its gate goes, and leaves another's gate to its owner", async () => {
    await startJob("held", { schedulingGates: [{ name: "example.org/quota" }] });
    const [pod] = await podsOf("held", 1);
    assert.ok(pod);
    assert.deepEqual(gates(pod), ["example.org/quota", hold]);
    const why = await waitFor("the scheduler says why", async () =>
      (await api.get(podForm, `${pods}/${pod.metadata.name}`)).status.conditions.find(
        ({ type }) => type === "PodScheduled",
      ),
    );
    assert.equal(why.reason, "SchedulingGated");
    // As the scheduler and the guard will: by name, so that it never is another's.
    const path = `${pods}/${pod.metadata.name}`;
    await api.patch(anything, path, "strategic-merge", {
      spec: { schedulingGates: [{ $patch: "delete", name: hold }] },
    });
    assert.deepEqual(gates(await api.get(podForm, path)), ["example.org/quota"]);
    await api.patch(anything, path, "merge", { spec: { schedulingGates: [] } });
    await runningPodOf(api, "app=held");
    await api.remove(`${jobs}/held`);
  });

  it("never sees a Pod without the label, of kube-system, or of its own namespace", async () => {
    const at = (namespace: string): string => `/api/v1/namespaces/${namespace}/pods`;
    for (const namespace of ["kube-system", ownNamespace])
      await waitFor(`${namespace} has its service account`, async () => {
        const path = `/api/v1/namespaces/${namespace}/serviceaccounts/default`;
        return (await api.call({ method: "GET", path })).status === 200 ? true : undefined;
      });
    const create = (namespace: string, podLabels: Record<string, string>): Promise<Pod> =>
      api.create(podForm, dryRun(at(namespace)), asyncPod(patient, podSpec(), { labels: podLabels }));
    const unseen = [
      await create("default", { app: "unseen" }),
      await create("default", { app: "unseen", "nerve.io/tier": "sync" }),
      await create("kube-system", labels("unseen")),
      await create(ownNamespace, labels("unseen")),
    ];
    assert.deepEqual(unseen.flatMap(gates), []);
    assert.deepEqual(gates(await tried("seen")), [hold]);
    assert.deepEqual([asked.includes("unseen"), asked.at(-1)], [false, "seen"]);
  });

  it("lets a malformed Pod run, with why on it, and warns whoever creates one", async () => {
    const wrong = { ...patient, "nerve.io/deadline": "soon" };
    await startJob("malformed", {}, 1, wrong);
    const pod = await runningPodOf(api, "app=malformed");
    assert.match(pod.metadata.annotations["nerve.io/ignored"] ?? "", /^nerve\.io\/deadline is "soon"; allowed: /);
    await api.remove(`${jobs}/malformed`);
    const body = asyncPod(wrong, podSpec(), { labels: labels("warned") });
    const { status, warning } = await api.call({ method: "POST", path: dryRun(pods), body });
    assert.equal(status, 201);
    assert.match(warning ?? "", /^299 - "Nerve ignores this Pod: nerve\.io\/deadline is \\"soon\\"; allowed: /);
  });

  it("leaves Pods that may not wait as they are, which the API server takes", async () => {
    const { "nerve.io/deadline": _, ...rest } = patient;
    const cases: readonly Pod[] = [
      await tried("late", { ...rest, "nerve.io/deadline": "4h" }),
      // With a gate it would be refused.
      await tried("placed", patient, { nodeName: "spot-a" }),
      await tried("disk", patient, { volumes: [{ name: "data", persistentVolumeClaim: { claimName: "data" } }] }),
      await tried("path", patient, { volumes: [{ name: "data", hostPath: { path: "/data" } }] }),
      await api.create(
        podForm,
        dryRun(pods),
        asyncPod(patient, podSpec(), { labels: labels("bare"), ownerReferences: [] }),
      ),
    ];
    for (const pod of cases) {
      assert.deepEqual(gates(pod), [], pod.metadata.name);
      assert.equal(pod.metadata.annotations["nerve.io/ignored"], undefined);
    }
  });

  it("sets one gate when it is asked twice", async () => {
    await api.create(anything, configurations, configuration("nerve-again", authority.ca, webhook.port));
    await waitFor("it is asked twice", async () => {
      const [from, pod] = [asked.length, await tried("twice")];
      assert.deepEqual(gates(pod), [hold]);
      return asked.length >= from + 2 ? true : undefined;
    });
    await api.remove(`${configurations}/nerve-again`);
  });

  it("stops nothing when it is dead, hangs, has an expired certificate, or is another program", async () => {
    const { port } = webhook;
    const everyPodRuns = async (app: string): Promise<void> => {
      await startJob(app, {}, 3);
      const items = await podsOf(app, 3);
      assert.deepEqual(items.flatMap(gates), [], app);
      await runningPodOf(api, `app=${app}`);
      await api.remove(`${jobs}/${app}`);
    };
    const instead = async (app: string, server: Server): Promise<void> => {
      server.listen(port, "127.0.0.1");
      await once(server, "listening");
      try {
        await everyPodRuns(app);
      } finally {
        server.close();
      }
    };
    await webhook.close();
    await everyPodRuns("dead");
    await instead(
      "hanging",
      createServer((socket) => socket.on("error", () => undefined)),
    );
    await instead(
      "another",
      createServer((socket) => socket.on("error", () => undefined).end("HTTP/1.1 200 OK\r\n\r\n{}")),
    );
    mount(place, await authority.issue(Date.now() - 3_600_000));
    webhook = await start(port);
    const from = asked.length;
    await everyPodRuns("expired");
    assert.equal(asked.length, from);
    mount(place, await authority.issue());
    await webhook.reload();
    await waitFor("it holds again", async () => (gates(await tried("again")).length === 1 ? true : undefined));
  });
});
