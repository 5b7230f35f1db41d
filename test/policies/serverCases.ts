import type { RuleCases } from "./case.ts";
import { expiresSec, lightsailAgent, proxmoxAgent, sentinel, units, withProps } from "./serverFixture.ts";
import { lightsailTags, proxmoxTagList } from "../../components/shared/vps/tags.ts";
import { type FixtureResource, unknown } from "./runRule.ts";

const shopper = lightsailAgent();
const batcher = proxmoxAgent();
const all = [...sentinel, ...shopper, ...batcher];
const sound = { title: "the Sentinel and two agents", resources: all, violations: [] };
/** Every property still to come, the marks too. */
const blank = {
  title: "everything unknown",
  resources: all.map((resource): FixtureResource => ({ ...resource, props: {} })),
  violations: [],
};

const instance = (change: Readonly<Record<string, unknown>>) => withProps(shopper, "shopper-server-instance", change);
const container = (change: Readonly<Record<string, unknown>>) =>
  withProps(batcher, "batcher-server-guest-container", change);
const server = (change: Readonly<Record<string, unknown>>) => withProps(shopper, "shopper-server", change);
const unit = (texts: Readonly<Record<string, string>>) =>
  withProps(shopper, "shopper", { units: Object.entries(texts).map(([path, text]) => ({ path, text })) });
const protectedAt = (list: readonly FixtureResource[], name: string) =>
  list.map((resource) => (resource.name === name ? { ...resource, protect: true } : resource));

const slice = "[Slice]\nMemoryMax=80%\nMemorySwapMax=0\n";
const service = "[Service]\nSlice=heavy-agent.slice\nMemoryMax=80%\nMemorySwapMax=0\nCPUQuota=90%\nTasksMax=64\n";
const dropIn = "heavy-agent@shopper.service.d/50-hive.conf";
const withDropIn = (text: string) =>
  unit({ "heavy-agent@.service": service, "heavy-agent.slice": slice, [dropIn]: `[Service]\n${text}\n` });
/** Marks that are in order but for the end. */
const marked = { "hive:throwaway": "true", "hive:estate": "hive", "hive:agent": "shopper" };
const bareInstance = { type: "aws:lightsail/instance:Instance", name: "stray" };

/** Fixtures of the rules about the servers of seed 004. */
export const serverCases: RuleCases = {
  "sentinel-no-agent": [
    sound,
    blank,
    {
      title: "an agent within the Sentinel",
      resources: [...sentinel, { type: "hive:index:HeavyAgent", name: "guest", parent: "sentinel", props: {} }],
      violations: [/Heavy agent guest is declared within the Sentinel/],
    },
    {
      title: "a unit of an agent on the Sentinel's address, without the component",
      resources: [
        ...sentinel,
        {
          type: "command:remote:Command",
          name: "by-hand",
          props: { connection: { host: "203.0.113.9" }, create: "systemctl enable --now heavy-agent@shopper" },
        },
      ],
      violations: [/Step by-hand puts heavy-agent@ on the Sentinel/],
    },
    {
      title: "an agent's step on the server of its own Sentinel",
      resources: withProps(shopper, "shopper-unit", { connection: { host: "203.0.113.9" } }),
      violations: [/Step shopper-unit of a heavy agent runs on 203\.0\.113\.9, which is its Sentinel/],
    },
    {
      title: "a server with both marks",
      resources: instance({ tags: { "hive:role": "sentinel", "hive:throwaway": "true" } }),
      violations: [
        /shopper-server-instance is the Sentinel's and a heavy agent's at once/,
        /Step shopper-unit puts heavy-agent@ on the Sentinel/,
      ],
    },
    {
      title: "another text by configuration",
      resources: [
        ...sentinel,
        { type: "command:remote:Command", name: "web", parent: "sentinel", props: { create: "npm i puppeteer" } },
      ],
      config: { texts: ["puppeteer"] },
      violations: [/Step web puts puppeteer on the Sentinel/],
    },
    {
      title: "an unknown host",
      resources: withProps(shopper, "shopper-unit", { connection: unknown.object }),
      violations: [],
    },
  ],
  "server-expires": [
    sound,
    blank,
    {
      title: "no mark at all",
      resources: [{ ...bareInstance, props: { name: "stray" } }],
      violations: [/stray says neither that it is the Sentinel's nor when it ends/],
    },
    {
      title: "no end",
      resources: instance({ tags: { ...marked, "hive:expires": "" } }),
      violations: [/shopper-server-instance lacks a mark/],
    },
    {
      title: "an end that is no time",
      resources: instance({ tags: { ...marked, "hive:expires": "soon" } }),
      violations: [/shopper-server-instance lacks a mark/],
    },
    {
      title: "no Hive that it is of",
      resources: instance({ tags: { ...marked, "hive:estate": "" } }),
      violations: [/shopper-server-instance lacks a mark, .*: throwaway, estate, agent, expires/],
    },
    {
      title: "a guest with two ends",
      resources: container({
        tags: ["hive-throwaway", "hive-estate-hive", "hive-agent-batcher", "hive-expires-1", "hive-expires-2"],
      }),
      violations: [/batcher-server-guest-container lacks a mark/],
    },
    {
      title: "an agent's server that calls itself the Sentinel's",
      resources: instance({ tags: { "hive:role": "sentinel" } }),
      violations: [/shopper-server-instance lacks a mark/],
    },
    {
      title: "an end in two years",
      resources: container({
        tags: proxmoxTagList({ estate: "hive", agent: "batcher", expiresSec: expiresSec + 730 * 86_400 }),
      }),
      violations: [/ends in 731 days; allowed: at most 366/],
    },
    {
      title: "stricter by configuration",
      resources: withProps(shopper, "shopper-server-instance", {
        tags: lightsailTags({ estate: "hive", agent: "shopper", expiresSec: expiresSec + 10 * 86_400 }),
      }),
      config: { maxDays: 7 },
      violations: [/ends in 11 days; allowed: at most 7/],
    },
    { title: "unknown tags", resources: instance({ tags: unknown.object }), violations: [] },
  ],
  "throwaway-unprotected": [
    sound,
    blank,
    {
      title: "protected in Pulumi",
      resources: protectedAt(shopper, "shopper-server-key"),
      violations: [/shopper-server-key belongs to a heavy agent and is protected in Pulumi/],
    },
    {
      title: "protected twice",
      resources: protectedAt(container({ protection: true }), "batcher-server-guest-container"),
      violations: [/-container .* protected in Pulumi/, /-container .* protected in Proxmox/],
    },
    {
      title: "a marked server without a component",
      resources: [{ ...bareInstance, protect: true, props: { tags: { "hive:throwaway": "true" } } }],
      violations: [/stray belongs to a heavy agent and is protected/],
    },
    {
      title: "allowed for an agent by configuration",
      resources: protectedAt(shopper, "shopper-server-instance"),
      config: { except: ["shopper"] },
      violations: [],
    },
  ],
  "server-key-own": [
    sound,
    blank,
    {
      title: "the account's default key",
      resources: instance({ keyPairName: undefined }),
      violations: [/shopper-server-instance names no key pair/],
    },
    {
      title: "a pair of another stack",
      resources: instance({ keyPairName: "everywhere" }),
      violations: [/takes the key pair everywhere, which is not of this stack/],
    },
    {
      title: "one key under two names, and another comment",
      resources: [
        ...shopper,
        ...container({ initialization: { userAccount: { keys: ["ssh-ed25519 AAAAshopper agent-batcher"] } } }),
      ],
      violations: [/Servers shopper-server-instance and batcher-server-guest-container have one SSH key/],
    },
    {
      title: "the administrator's own by configuration",
      resources: shopper,
      config: { forbidden: ["ssh-ed25519 AAAAshopper me@home"] },
      violations: [/shopper-server-instance takes an SSH key that no server may take/],
    },
    {
      title: "the key of another agent's stack",
      resources: withProps(shopper, "shopper-server-key", { publicKey: "ssh-ed25519 AAAAshopper agent-other" }),
      violations: [/shopper-server-instance takes an SSH key that is not named agent-shopper/],
    },
    {
      title: "a person's own key",
      resources: container({ initialization: { userAccount: { keys: ["ssh-ed25519 AAAAme me@home"] } } }),
      violations: [/batcher-server-guest-container takes an SSH key that is not named agent-batcher/],
    },
    {
      title: "an agent's key on the Sentinel",
      resources: withProps(sentinel, "sentinel-server-key", { publicKey: "ssh-ed25519 AAAAshopper agent-shopper" }),
      violations: [/sentinel-server-instance takes an SSH key that was made for a heavy agent/],
    },
    { title: "an unknown pair", resources: instance({ keyPairName: unknown.text }), violations: [] },
  ],
  "server-size-fits": [
    sound,
    blank,
    {
      title: "below its kind's floor",
      resources: server({ kind: "browser-heavy" }),
      violations: [/shopper-server has size S for the kind browser-heavy; allowed: M\./],
    },
    {
      title: "no such kind",
      resources: server({ kind: "miner" }),
      violations: [/for the kind miner, which has no size/],
    },
    {
      title: "a server that does not say its kind",
      resources: server({ kind: undefined }),
      violations: [/shopper-server does not say its kind and its size/],
    },
    {
      title: "an offer of another size",
      resources: server({ offer: { id: "small_3_0", ramMiB: 512, vcpus: 2 } }),
      violations: [/shopper-server has 512 MiB and 2 vCPUs; allowed for size S: 2 GiB to 4 GiB/],
    },
    {
      title: "another bundle than decided",
      resources: instance({ bundleId: "2xlarge_3_0" }),
      violations: [/is the bundle 2xlarge_3_0; decided was small_3_0/],
    },
    {
      title: "another guest than decided",
      resources: container({ cpu: { cores: 8 }, memory: { dedicated: 512 } }),
      violations: [/has 512 MiB; decided was 2048/, /has 8 vCPUs; decided was 2/],
    },
    {
      title: "a server of nobody's kind",
      resources: [{ ...bareInstance, props: { name: "stray" } }],
      violations: [/stray is not declared through Vps/],
    },
    {
      title: "a wider grid by configuration",
      resources: server({ kind: "browser-heavy" }),
      config: { sizes: { "browser-heavy": ["S", "M"] } },
      violations: [],
    },
    { title: "an unknown bundle", resources: instance({ bundleId: unknown.text }), violations: [] },
  ],
  "server-budget": [
    sound,
    blank,
    {
      title: "too much together",
      resources: [...sentinel, ...shopper],
      config: { centsPerMonth: 1800 },
      violations: [/The servers cost 19\.00 USD a month; allowed: 18\.00 USD/],
    },
    {
      title: "too much beside what the plan counts elsewhere",
      resources: server({ committedCents: 700 }),
      config: { centsPerMonth: 1800 },
      violations: [/cost 19\.00 USD a month, 7\.00 USD of it for other servers of the Hive; allowed: 18\.00 USD/],
    },
    {
      title: "a bundle without the component, by the table",
      resources: [{ ...bareInstance, props: { bundleId: "4xlarge_3_0", availabilityZone: "eu-west-3b" } }],
      violations: [/The servers cost 384\.00 USD/],
    },
    {
      title: "a bundle that nobody knows",
      resources: [{ ...bareInstance, props: { bundleId: "huge_9_0", availabilityZone: "eu-west-3b" } }],
      violations: [/The price of server stray is not known/],
    },
    { title: "an unknown bundle", resources: [{ ...bareInstance, props: { bundleId: unknown.text } }], violations: [] },
  ],
  "agent-limits": [
    sound,
    blank,
    { title: "no unit", resources: withProps(shopper, "shopper", { units: [] }), violations: [/shopper has no unit/] },
    {
      title: "a unit without limits",
      resources: unit({ "heavy-agent@.service": "[Service]\nExecStart=/opt/run\n" }),
      violations: [
        /MemoryMax unset; allowed: at most 80 %/,
        /MemorySwapMax unset/,
        /CPUQuota unset; allowed: at most 90 % of each of 2 CPUs/,
        /TasksMax unset/,
        /no slice/,
      ],
    },
    { title: "tighter by a drop-in", resources: withDropIn("MemoryMax=512M\nCPUQuota=180%"), violations: [] },
    {
      title: "lifted by a drop-in",
      resources: withDropIn("MemoryMax=infinity\nMemorySwapMax=1G\nCPUQuota=200%\nTasksMax=infinity"),
      violations: [/MemoryMax infinity/, /MemorySwapMax 1G/, /CPUQuota 200%/, /TasksMax infinity/],
    },
    {
      title: "more than its share in MiB",
      resources: withDropIn("MemoryMax=1700M"),
      violations: [/MemoryMax 1700M; allowed: at most 80 % of the server/],
    },
    {
      title: "a slice without a limit",
      resources: unit({ "heavy-agent@.service": service, "heavy-agent.slice": "[Slice]\nMemorySwapMax=0\n" }),
      violations: [/The slice of heavy agent shopper has MemoryMax unset/],
    },
    {
      title: "stricter by configuration",
      resources: withProps(shopper, "shopper", { units: units("shopper", { tasksMax: 512 }) }),
      config: { memoryPercent: 70, cpuPercent: 50, tasksMax: 256 },
      violations: [
        /MemoryMax 80%; allowed: at most 70 %/,
        /CPUQuota 180%; allowed: at most 50 %/,
        /TasksMax 512; allowed: at most 256/,
        /The slice .* MemoryMax 80%/,
      ],
    },
    { title: "unknown units", resources: withProps(shopper, "shopper", { units: unknown.list }), violations: [] },
  ],
};
