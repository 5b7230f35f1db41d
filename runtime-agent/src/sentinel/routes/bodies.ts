/** What callers of the admin API send, validated. */
import * as z from "zod";
import { configFaults } from "../../../../components/shared/agent/configFaults.ts";
import { oneOf, says, strict, text, whole, yesOrNo } from "../../../../components/shared/agent/configParts.ts";
import { dnsLabel } from "../../../../components/shared/check.ts";
import { describeFault, type Fault } from "../../../../components/shared/faults.ts";
import { checkSize, parseAgentKind } from "../../../../components/shared/vps/sizing.ts";
import { ApiError } from "../../shared/localApi/index.ts";
import type { NewAgent } from "../core/events.ts";

/** Longest key, characters: runners take no longer one. */
export const mostKeyLength = 200;
/** No dot: in what is signed, `id.timestamp.body`, where the id ends must never be in doubt. */
export const keyForm = /^[\w:-]{1,200}$/;

const port = whole(1, 65_535, "Write a port.");
const host = text(
  /^[A-Za-z0-9:](?:[A-Za-z0-9.:-]{0,251}[A-Za-z0-9:])?$/,
  "an address or a name of letters, digits, dots, colons and dashes",
  "Write it without port.",
);
/** From a minute to a year, from now. */
const ttlSec = whole(60, 366 * 86_400, "Write seconds from now; renew it as often as need be.");
const word = z.string({ error: says("a text", "Write it.") });

const provider = strict({
  kind: oneOf(["proxmox", "lightsail"], "Write where its server is."),
  id: text(/^[\w.-]{1,255}$/, "the provider's own name of the server", "Write its id, or its name."),
});
const next = strict({ provider: provider.exactOptional() });

const newAgent = strict({
  name: text(dnsLabel, "a DNS label: a-z, 0-9 and -, 1 to 63 characters", "Rename the agent."),
  kind: word,
  size: word,
  ttlSec,
  mode: oneOf(["job", "resident"], "Write how it gets its work.").default("job"),
  idempotent: yesOrNo.default(false),
  address: strict({ host, port }).exactOptional(),
  provider: provider.exactOptional(),
});

const signal = strict({
  key: text(keyForm, `1 to ${String(mostKeyLength)} letters, digits, _, : and -`, "Choose another key."),
  payload: z.json({ error: says("JSON", "Write what the agent is to be given, null for nothing.") }),
  issuedMs: whole(0, Number.MAX_SAFE_INTEGER, "Write Unix milliseconds, or leave it out.").optional(),
});
const renewal = strict({ ttlSec });
const size = strict({ size: word });

/** @throws ApiError 400: the first fault in its fields, every further one in its words */
function refuse(faults: readonly Fault[]): never {
  const [first, ...more] = faults.map((fault) =>
    fault.property === "(file)" ? { ...fault, property: "(body)" } : fault,
  );
  const { property = "(body)", value, limit = "another value", fix = "Correct it." } = first ?? {};
  const also = more.map((fault) => `; also ${describeFault(fault)}`).join("");
  throw new ApiError(400, `${value ?? "nothing"} is not allowed${also}`, { property, limit, fix });
}

function read<T>(schema: z.core.$ZodType<T>, body: unknown): T {
  const parsed = z.safeParse(schema, body, { jitless: true, reportInput: true });
  return parsed.success ? parsed.data : refuse(configFaults(parsed.error.issues));
}

/** The agent of `POST /agents`. @throws ApiError 400 */
export function readNewAgent(body: unknown): NewAgent {
  const { ttlSec: seconds, kind: kindText, size: sizeText, ...rest } = read(newAgent, body);
  const kind = parseAgentKind("kind", kindText);
  if (!kind.ok) return refuse(kind.faults);
  const checked = checkSize("size", kind.value, sizeText);
  if (!checked.ok) return refuse(checked.faults);
  return { ...rest, kind: kind.value, size: checked.value, ttlMs: seconds * 1000 };
}

/** Where an agent's next server will be. An empty body says nothing of it. @throws ApiError 400 */
export function readNext(body: unknown): Pick<NewAgent, "provider"> {
  return read(next, body ?? {});
}

export function readSignal(body: unknown) {
  return read(signal, body);
}

export function readRenewal(body: unknown): { readonly ttlMs: number } {
  return { ttlMs: read(renewal, body).ttlSec * 1000 };
}

export function readSize(body: unknown): { readonly size: string } {
  return read(size, body);
}
