import * as pulumi from "@pulumi/pulumi";

/** What the names of the agents' stacks begin with: each agent has one of its own. */
const agentPrefix = "agent-";

/** A stack's program: declares its resources and returns the stack's outputs. */
export type StackProgram = () => Promise<Record<string, unknown>>;

/** Programs by stack name. Each is loaded when it is run, so that one stack's libraries burden no other. */
export const stackPrograms: Readonly<Record<string, StackProgram>> = {
  genesis: async () => ({ ...(await (await import("./genesis.ts")).genesis()) }),
  sentinel: async () => (await import("./sentinel.ts")).sentinel(),
};

/** The program of a stack: the one of its name, or the one of all agents. */
export function programOf(name: string): StackProgram | undefined {
  if (name.startsWith(agentPrefix)) return async () => (await import("./agent.ts")).agent();
  return stackPrograms[name];
}

/**
 * Runs the program of a stack.
 * @throws RunError with every fault of the configuration, or naming the stacks when there is none of this name.
 */
export async function runStack(name: string): Promise<Record<string, unknown>> {
  const program = programOf(name);
  if (program === undefined) {
    throw new pulumi.RunError(
      `There is no stack program named "${name}". Stacks: ${[...Object.keys(stackPrograms), `${agentPrefix}<name>`].join(", ")}. Select one with --stack.`,
    );
  }
  try {
    return await program();
  } catch (error) {
    // The engine prints a RunError's text alone; anything else it prints with a stack trace.
    if (pulumi.InputPropertiesError.isInstance(error)) throw new pulumi.RunError(error.message);
    throw error;
  }
}
