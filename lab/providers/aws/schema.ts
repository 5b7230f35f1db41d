// The types this provider serves, after the schema of pulumi-aws 7.48 (lightsail) and terraform-provider-aws'
// internal/service/lightsail, which that is made from: inputs, what replaces, what comes out.

export type Shape = "text" | "number" | "yes-no" | "tags" | "texts" | "addOn" | "ports";

export interface TypeInfo {
  inputs: Readonly<Record<string, Shape>>;
  required: readonly string[];
  /** ForceNew of the Terraform schema. */
  replaceOnChanges: readonly string[];
  outputs: Readonly<Record<string, Shape>>;
  secretOutputs?: readonly string[];
  /** Whether a name is made of the resource's own when none is given. */
  autoName: boolean;
}

export const types: Readonly<Record<string, TypeInfo>> = {
  "aws:lightsail/instance:Instance": {
    inputs: {
      ...{ addOn: "addOn", availabilityZone: "text", blueprintId: "text", bundleId: "text", ipAddressType: "text" },
      ...{ keyPairName: "text", name: "text", region: "text", tags: "tags", userData: "text" },
    },
    required: ["availabilityZone", "blueprintId", "bundleId"],
    replaceOnChanges: ["availabilityZone", "blueprintId", "bundleId", "keyPairName", "name", "userData", "region"],
    outputs: {
      ...{ arn: "text", cpuCount: "number", createdAt: "text", ipv6Addresses: "texts", isStaticIp: "yes-no" },
      ...{ privateIpAddress: "text", publicIpAddress: "text", ramSize: "number", tagsAll: "tags", username: "text" },
    },
    autoName: true,
  },
  "aws:lightsail/keyPair:KeyPair": {
    inputs: { name: "text", namePrefix: "text", pgpKey: "text", publicKey: "text", region: "text", tags: "tags" },
    required: [],
    replaceOnChanges: ["name", "namePrefix", "pgpKey", "publicKey", "region"],
    outputs: {
      ...{ arn: "text", encryptedFingerprint: "text", encryptedPrivateKey: "text", fingerprint: "text" },
      ...{ privateKey: "text", tagsAll: "tags" },
    },
    secretOutputs: ["privateKey"],
    autoName: true,
  },
  "aws:lightsail/staticIp:StaticIp": {
    inputs: { name: "text", region: "text" },
    required: [],
    replaceOnChanges: ["name", "region"],
    outputs: { arn: "text", ipAddress: "text", supportCode: "text" },
    autoName: true,
  },
  "aws:lightsail/staticIpAttachment:StaticIpAttachment": {
    inputs: { instanceName: "text", region: "text", staticIpName: "text" },
    required: ["instanceName", "staticIpName"],
    replaceOnChanges: ["instanceName", "region", "staticIpName"],
    outputs: { ipAddress: "text" },
    autoName: false,
  },
  "aws:lightsail/instancePublicPorts:InstancePublicPorts": {
    inputs: { instanceName: "text", portInfos: "ports", region: "text" },
    required: ["instanceName", "portInfos"],
    replaceOnChanges: ["instanceName", "portInfos", "region"],
    outputs: {},
    autoName: false,
  },
};

const text = { type: "string" };
const texts = { type: "array", items: text };
const shapes: Readonly<Record<Shape, object>> = {
  text,
  texts,
  number: { type: "number" },
  "yes-no": { type: "boolean" },
  tags: { type: "object", additionalProperties: text },
  addOn: { $ref: "#/types/aws:lightsail/InstanceAddOn:InstanceAddOn" },
  ports: {
    type: "array",
    items: { $ref: "#/types/aws:lightsail/InstancePublicPortsPortInfo:InstancePublicPortsPortInfo" },
  },
};

function shaped(fields: Readonly<Record<string, Shape>>, replacing: readonly string[]): Record<string, object> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, shape]) => [
      name,
      replacing.includes(name) ? { ...shapes[shape], replaceOnChanges: true } : shapes[shape],
    ]),
  );
}

/** The package schema, as JSON. */
export function packageSchema(version: string): string {
  const resources = Object.fromEntries(
    Object.entries(types).map(([token, info]) => {
      const inputProperties = shaped(info.inputs, info.replaceOnChanges);
      const secrets = info.secretOutputs ?? [];
      const outputs = Object.entries(shaped(info.outputs, [])).map(([name, shape]): [string, object] => [
        name,
        secrets.includes(name) ? { ...shape, secret: true } : shape,
      ]);
      return [
        token,
        {
          inputProperties,
          requiredInputs: info.required,
          properties: { ...inputProperties, ...Object.fromEntries(outputs) },
        },
      ];
    }),
  );
  const port = { fromPort: { type: "integer" }, toPort: { type: "integer" }, protocol: text };
  return JSON.stringify({
    name: "aws",
    version,
    types: {
      "aws:lightsail/InstanceAddOn:InstanceAddOn": {
        type: "object",
        properties: { type: text, snapshotTime: text, status: text },
        required: ["type", "snapshotTime", "status"],
      },
      "aws:lightsail/InstancePublicPortsPortInfo:InstancePublicPortsPortInfo": {
        type: "object",
        properties: { ...port, cidrs: texts, ipv6Cidrs: texts, cidrListAliases: texts },
        required: Object.keys(port),
      },
    },
    resources,
  });
}
