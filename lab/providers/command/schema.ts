// The types this provider serves: their inputs, which of them replace the resource, and which are required.

export interface TypeInfo {
  inputs: readonly string[];
  required: readonly string[];
  replaceOnChanges: readonly string[];
  outputs: readonly string[];
}

const commandInputs = [
  "create",
  "update",
  "delete",
  "stdin",
  "environment",
  "triggers",
  "logging",
  "addPreviousOutputInEnv",
];

/** After the schema of pulumi-command 1.2 (and 4.5.0, an older one of fewer properties). */
export const types: Readonly<Record<string, TypeInfo>> = {
  "command:remote:Command": {
    inputs: ["connection", ...commandInputs],
    required: ["connection"],
    replaceOnChanges: ["triggers"],
    outputs: ["stdout", "stderr"],
  },
  "command:local:Command": {
    inputs: [...commandInputs, "dir", "interpreter", "assetPaths", "archivePaths"],
    required: [],
    replaceOnChanges: ["triggers"],
    outputs: ["stdout", "stderr"],
  },
  "command:remote:CopyToRemote": {
    inputs: ["connection", "source", "remotePath", "triggers"],
    required: ["connection", "source", "remotePath"],
    replaceOnChanges: ["triggers"],
    outputs: [],
  },
  "command:remote:CopyFile": {
    inputs: ["connection", "localPath", "remotePath", "triggers"],
    required: ["connection", "localPath", "remotePath"],
    replaceOnChanges: ["triggers"],
    outputs: [],
  },
};

const text = { type: "string" };
const anyList = { type: "array", items: { $ref: "pulumi.json#/Any" } };
const propertyTypes: Readonly<Record<string, object>> = {
  connection: { $ref: "#/types/command:remote:Connection", secret: true },
  environment: { type: "object", additionalProperties: text },
  triggers: anyList,
  interpreter: { type: "array", items: text },
  assetPaths: { type: "array", items: text },
  archivePaths: { type: "array", items: text },
  addPreviousOutputInEnv: { type: "boolean" },
  source: { $ref: "pulumi.json#/Asset" },
};

/** The package schema, as JSON. */
export function packageSchema(version: string): string {
  const endpoint = {
    ...{
      host: text,
      user: { ...text, default: "root" },
      port: { type: "number", default: 22 },
      hostKey: text,
      agentSocketPath: text,
    },
    ...{
      password: { ...text, secret: true },
      privateKey: { ...text, secret: true },
      privateKeyPassword: { ...text, secret: true },
    },
    ...{ dialErrorLimit: { type: "integer", default: 10 }, perDialTimeout: { type: "integer", default: 15 } },
  };
  const resources = Object.fromEntries(
    Object.entries(types).map(([token, info]) => {
      const inputs = Object.fromEntries(info.inputs.map((name) => [name, propertyTypes[name] ?? text]));
      const replacing = info.replaceOnChanges.map((name): [string, object] => [
        name,
        { ...propertyTypes[name], replaceOnChanges: true },
      ]);
      const outputs = Object.fromEntries(info.outputs.map((name) => [name, text]));
      const inputProperties = { ...inputs, ...Object.fromEntries(replacing) };
      return [
        token,
        {
          inputProperties,
          requiredInputs: info.required,
          properties: { ...inputProperties, ...outputs },
          required: [...info.required, ...info.outputs],
        },
      ];
    }),
  );
  return JSON.stringify({
    name: "command",
    version,
    types: {
      "command:remote:Connection": {
        type: "object",
        properties: { ...endpoint, proxy: { $ref: "#/types/command:remote:ProxyConnection" } },
        required: ["host"],
      },
      "command:remote:ProxyConnection": { type: "object", properties: endpoint, required: ["host"] },
    },
    resources,
  });
}
