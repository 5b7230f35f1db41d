import * as pulumi from "@pulumi/pulumi";
import { disconnect, getMonitor } from "@pulumi/pulumi/runtime/settings.js";

/** One registration as the program sent it to the engine: what `setMocks` alone does not show. */
export interface Registration {
  readonly type: string;
  readonly name: string;
  readonly parent: string;
  readonly protect: boolean;
  readonly ignoreChanges: readonly string[];
  readonly dependencies: readonly string[];
  readonly deletedWith: string;
  readonly deleteBeforeReplace: boolean;
  readonly provider: string;
  readonly inputs: Readonly<Record<string, unknown>>;
}

interface RegisterRequest {
  getType(): string;
  getName(): string;
  getParent(): string;
  getProtect(): boolean;
  getIgnorechangesList(): string[];
  getDependenciesList(): string[];
  getDeletedwith(): string;
  getDeletebeforereplace(): boolean;
  getProvider(): string;
  getObject(): { toJavaScript(): Record<string, unknown> } | undefined;
}

/** The marker under which a secret travels (pulumi/pulumi, `sdk/nodejs/runtime/rpc.ts`). */
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";
const signatureKey = "4dabf18193072939515e22adb298388d";

/** Whether a value was registered as a secret. */
export function isRegisteredSecret(value: unknown): boolean {
  return typeof value === "object" && value !== null && Reflect.get(value, signatureKey) === secretSignature;
}

/**
 * Runs a program under mocks and returns every registration in order, with parents, protection and options.
 * Resources get the id `<name>-id` and their inputs as outputs.
 */
export async function recordProgram(
  program: () => unknown,
  config: Readonly<Record<string, string>> = {},
  /** Answers calls of provider functions. */
  call: (token: string, inputs: Record<string, unknown>) => Record<string, unknown> = (_token, inputs) => inputs,
  {
    stack = "genesis",
    secretKeys = [],
    outputs = () => ({}),
  }: {
    readonly stack?: string;
    /** Keys of the configuration that are stored as secrets. */
    readonly secretKeys?: readonly string[];
    /** What a provider adds to a resource's inputs. */
    readonly outputs?: (type: string) => Readonly<Record<string, unknown>>;
  } = {},
): Promise<readonly Registration[]> {
  pulumi.runtime.setAllConfig({ ...config }, [...secretKeys]);
  await pulumi.runtime.setMocks(
    {
      newResource: (args) => ({ id: `${args.name}-id`, state: { ...args.inputs, ...outputs(args.type) } }),
      call: (args) => call(args.token, args.inputs),
    },
    "hive",
    stack,
    false,
  );
  const monitor: unknown = getMonitor();
  if (typeof monitor !== "object" || monitor === null) throw new Error("the mock monitor is missing");
  const register: unknown = Reflect.get(monitor, "registerResource");
  if (typeof register !== "function") throw new Error("the mock monitor cannot register");

  const seen: Registration[] = [];
  Reflect.set(monitor, "registerResource", (request: RegisterRequest, callback: unknown) => {
    seen.push({
      type: request.getType(),
      name: request.getName(),
      parent: request.getParent(),
      protect: request.getProtect(),
      ignoreChanges: request.getIgnorechangesList(),
      dependencies: request.getDependenciesList(),
      deletedWith: request.getDeletedwith(),
      deleteBeforeReplace: request.getDeletebeforereplace(),
      provider: request.getProvider(),
      inputs: request.getObject()?.toJavaScript() ?? {},
    });
    return Reflect.apply(register, monitor, [request, callback]) as unknown;
  });
  await program();
  await disconnect();
  return seen;
}
