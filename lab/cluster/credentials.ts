// Who may speak with whom: a certificate authority of the cluster's own, a certificate for its servers, the key that signs
// the tokens of service accounts, and a random token for each identity. All files are their owner's alone.
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generate } from "selfsigned";

/** Users that the control plane knows by token. Kubernetes' own roles are bound to the middle two by their names. */
const users = {
  admin: ["hive-admin", "system:masters"],
  "controller-manager": ["system:kube-controller-manager", ""],
  scheduler: ["system:kube-scheduler", ""],
  // Plays the kubelets of all nodes, which no single real identity may.
  kwok: ["hive-kwok", "system:masters"],
} as const;

export type User = keyof typeof users;

export interface Credentials {
  /** PEM, as text and as a file. */
  readonly ca: string;
  readonly caFile: string;
  /** For the API server and etcd; etcd takes it for its client as well. */
  readonly certFile: string;
  readonly keyFile: string;
  readonly serviceAccountKeyFile: string;
  readonly serviceAccountPublicFile: string;
  readonly tokenFile: string;
  readonly tokens: Readonly<Record<User, string>>;
}

/** Days; a control plane lives for minutes. */
const validDays = 30;

/** Makes all of them anew in `folder`. @param serviceAddress the API server's address as Pods would call it */
export async function makeCredentials(folder: string, serviceAddress: string): Promise<Credentials> {
  mkdirSync(folder, { mode: 0o700 });
  const write = (name: string, text: string): string => {
    const file = join(folder, name);
    writeFileSync(file, text, { mode: 0o600, flag: "wx" });
    return file;
  };
  const common = {
    keyType: "ec",
    curve: "P-256",
    algorithm: "sha256",
    // A clock that is set back by a little must not make them invalid.
    notBeforeDate: new Date(Date.now() - 3_600_000),
    notAfterDate: new Date(Date.now() + validDays * 86_400_000),
  } as const;
  const ca = await generate([{ name: "commonName", value: "Hive lab cluster" }], {
    ...common,
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  const server = await generate([{ name: "commonName", value: "kube-apiserver" }], {
    ...common,
    ca: { key: ca.private, cert: ca.cert },
    extensions: [
      { name: "basicConstraints", cA: false, critical: true },
      { name: "keyUsage", digitalSignature: true, critical: true },
      { name: "extKeyUsage", serverAuth: true, clientAuth: true },
      {
        name: "subjectAltName",
        altNames: [
          { type: 2, value: "localhost" },
          { type: 2, value: "kubernetes.default.svc" },
          { type: 7, ip: "127.0.0.1" },
          { type: 7, ip: serviceAddress },
        ],
      },
    ],
  });
  const serviceAccount = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  const token = (): string => randomBytes(32).toString("base64url");
  const tokens = { admin: token(), "controller-manager": token(), scheduler: token(), kwok: token() };
  const lines = Object.entries(users).map(
    ([name, [user, group]], index) => `${tokens[name as User]},${user},${String(index + 1)},"${group}"\n`,
  );
  return {
    ca: ca.cert,
    caFile: write("ca.pem", ca.cert),
    certFile: write("server.pem", server.cert),
    keyFile: write("server.key", server.private),
    serviceAccountKeyFile: write("service-account.key", serviceAccount.privateKey),
    serviceAccountPublicFile: write("service-account.pub", serviceAccount.publicKey),
    tokenFile: write("tokens.csv", lines.join("")),
    tokens,
  };
}

/** A kubeconfig for one identity. JSON, which every reader of YAML takes. */
export function kubeconfig(url: string, ca: string, token: string): string {
  const name = "hive-lab";
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster: { server: url, "certificate-authority-data": Buffer.from(ca).toString("base64") } }],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    "current-context": name,
  });
}
