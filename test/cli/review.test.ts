import assert from "node:assert/strict";
import { findLab } from "../../lab/index.ts";
import { classify } from "../../cli/review/classify.ts";
import { collectReview, renderReview, reviewPasses } from "../../cli/review/index.ts";
import type { Invocation } from "../../cli/args/parse.ts";
import { type Context, withContext } from "../../cli/commands/context.ts";
import type { Session } from "../../cli/engine/session.ts";
import { decodeState } from "../../cli/repair/deployment.ts";
import { LabClient } from "../support/lab-client.ts";
import { Hive, stackFrames } from "./hive.ts";

const invocation: Invocation = {
  command: "review",
  positionals: [],
  target: "lab",
  json: false,
  yes: true,
  dryRun: false,
  once: false,
  skipPreflight: false,
  unprotect: [],
  only: [],
  values: {},
  flags: [],
};

describe("hive review with the real engine", () => {
  const hive = new Hive();
  const was = process.env["HIVE_STATE_DIR"];

  before(() => {
    process.env["HIVE_STATE_DIR"] = hive.folder;
  });

  after(async () => {
    if (was === undefined) delete process.env["HIVE_STATE_DIR"];
    else process.env["HIVE_STATE_DIR"] = was;
    await hive.close();
  });

  /** Opens the stack as the command does, for a test that changes something first. */
  const opened = <T>(work: (session: Session, context: Context) => Promise<T>): Promise<T> =>
    withContext(invocation, async (context) => work(await context.open(), context));

  it("passes a clean estate, as Markdown, and leaves no lab behind", async () => {
    const { code, stdout, stderr } = await hive.run(["review", "genesis"]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^## Review of stack `genesis`\n\n✅ \*\*Allowed\*\*: \d+ changes, none of them risky\./);
    assert.match(stdout, /<summary>Created: \d+<\/summary>/);
    assert.match(stdout, /Policy packs: `pulumi-hive \d+\.\d+\.\d+`, without a violation\.\n*$/);
    assert.doesNotMatch(stdout, /\$PATH|\/root\/|\/home\//, "nothing of this machine");
    assert.deepEqual(stackFrames(stdout + stderr), []);
    assert.equal(await findLab(hive.lab), undefined);
  });

  it("stops a violation, the policy named first, with its reason and fix", async () => {
    const { code, stdout, stderr } = await hive.run(["review"], {
      NODE_OPTIONS: `--import=${new URL("./violate.ts", import.meta.url).href}`,
    });
    assert.equal(code, 1, stderr);
    assert.match(stdout, /^## Review of stack `genesis`\n\n❌ \*\*Not allowed\*\*: \d+ mandatory policy violation/);
    const policy = stdout.indexOf("### Mandatory policy violations");
    const changes = stdout.indexOf("### Changes");
    assert.ok(policy > 0, stdout);
    assert.ok(changes === -1 || policy < changes, "violations come before the change list");
    assert.match(stdout, /\*\*guest-tags\*\*/);
    assert.match(stdout, /- Why: .+\n +- Fix: /);
    assert.deepEqual(stackFrames(stdout), []);
  });

  it("puts replacement, deletion, a moved device and a lost protection on top", async () => {
    const events = await opened(async (session, { lab }) => {
      const up = await session.run("up");
      assert.equal(up.succeeded, true, up.message);
      const exported = await session.exportState();
      const { resources } = exported.deployment;
      assert.ok(Array.isArray(resources));
      const changed = resources.map((each: unknown) => disturb(each));
      await session.importState({ ...exported, deployment: { ...exported.deployment, resources: changed } });
      assert.ok(decodeState((await session.exportState()).deployment).resources.length > 50);
      assert.ok(lab !== undefined);
      const { apiUrl, caCertFile, tokenFile, rootSocket } = lab.info;
      const client = new LabClient({ port: Number(new URL(apiUrl).port), caCertFile, tokenFile, rootSocket });
      await client.run("PUT", "/nodes/pve/qemu/401/config", { delete: "usb0" }, { root: true });
      await client.run("PUT", "/nodes/pve/qemu/400/config", { usb0: "mapping=tpu-coral,usb3=1" }, { root: true });
      return (await session.run("preview")).events;
    });
    const input = collectReview("genesis", events);
    const { risks } = classify(input.steps);
    assert.ok(
      risks.some(({ kind, subject }) => kind === "deletion" && subject === "gone"),
      JSON.stringify(risks),
    );
    assert.ok(
      risks.some(({ kind, subject }) => kind === "protection" && subject === "cortex-vm"),
      JSON.stringify(risks),
    );
    assert.ok(
      risks.some(({ kind, subject }) => kind === "replacement" && subject === "brain-root"),
      JSON.stringify(risks),
    );
    assert.ok(
      risks.some(({ kind, subject }) => kind === "passthrough" && subject === "tpu-coral"),
      JSON.stringify(risks),
    );
    const text = renderReview(input);
    assert.match(text, /⚠️ \*\*Risky\*\*/);
    assert.ok(text.indexOf("### Risky changes") < text.indexOf("### Changes"));
    assert.equal(reviewPasses(input), true);
  });
});

/** The state as if an earlier program had declared other things: what the next preview takes back is risky. */
function disturb(resource: unknown): unknown {
  if (typeof resource !== "object" || resource === null || !("urn" in resource)) return resource;
  const urn = String(resource.urn);
  const renamed = (suffix: string): string => urn.replace(/::[^:]*$/, `::${suffix}`);
  if (urn.endsWith("::host-storage-snapshots")) return { ...resource, urn: renamed("gone") };
  if (urn.endsWith("::brain-root") && "inputs" in resource && "outputs" in resource)
    return {
      ...resource,
      inputs: { ...Object(resource.inputs), triggers: ["another guest"] },
      outputs: { ...Object(resource.outputs), triggers: ["another guest"] },
    };
  if (urn.endsWith("::cortex-vm")) return { ...resource, protect: true };
  return resource;
}
