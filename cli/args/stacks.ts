/** Which stacks there are, by name. Pure and small: every command line loads it. */
import { dnsLabel } from "../../components/shared/check.ts";
import { nearest } from "./nearest.ts";

/** Stacks with a name of their own; beside them each agent has one. */
export const stackNames = ["genesis", "sentinel"] as const;
/** For what works on the Proxmox estate only. */
export const genesisAlone = ["genesis"] as const;

const prefix = "agent-";

/** The stack of an agent. */
export function stackOfAgent(agent: string): string {
  return `${prefix}${agent}`;
}

/** The agent that a stack is of; undefined for any other stack. */
export function agentOfStack(stack: string): string | undefined {
  const agent = stack.slice(prefix.length);
  // The whole of it names the server, too.
  return stack.startsWith(prefix) && dnsLabel.test(agent) && dnsLabel.test(stack) ? agent : undefined;
}

/** What is wrong with the name of a stack, with the one that was probably meant; undefined when it is one. */
export function stackProblem(stack: string, named: readonly string[] = stackNames): string | undefined {
  const agents = named.includes("sentinel");
  if (named.includes(stack) || (agents && agentOfStack(stack) !== undefined)) return undefined;
  const known = [...named, ...(agents ? [`${prefix}NAME`] : [])].join(", ");
  const said = `does not know stack "${stack}"; known: ${known}`;
  if (agents && /^agent[-_ ]/i.test(stack)) {
    const label = stack
      .slice(prefix.length)
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+|-+$/g, "")
      .slice(0, 57)
      .replace(/-+$/, "");
    const meant = label === "" ? "" : `, such as ${prefix}${label}`;
    return `${said}; an agent's name is a DNS label: a-z, 0-9 and -, 1 to 57 characters${meant}`;
  }
  const near = nearest(stack, named);
  if (near !== undefined) return `${said}; did you mean ${near}?`;
  return agents && dnsLabel.test(stack) ? `${said}; the stack of an agent ${stack} is ${prefix}${stack}` : said;
}
