// All that the AWS stand-in knows, in one file, replaced whole with each change.
import { join } from "node:path";
import { privateFolder, readJsonObject, writeFileAtomic } from "../host/files.ts";

export interface Tag {
  key: string;
  value: string;
}

export interface PortInfo {
  fromPort: number;
  toPort: number;
  protocol: string;
  cidrs: string[];
  ipv6Cidrs: string[];
  cidrListAliases: string[];
}

export interface Instance {
  name: string;
  /** Its place in the lab's network, from 1; never used again. */
  number: number;
  region: string;
  zone: string;
  createdSec: number;
  bundleId: string;
  blueprintId: string;
  keyPairName: string;
  publicKey: string;
  userData: string;
  ipAddressType: string;
  tags: Tag[];
  ports: PortInfo[];
  addOns: { name: string; status: string; snapshotTimeOfDay: string }[];
  /** What it is, and what it becomes at `settlesMs`. */
  state: "pending" | "running" | "stopping" | "stopped";
  settlesMs: number;
  publicIp: string;
}

export interface KeyPair {
  name: string;
  region: string;
  createdSec: number;
  publicKey: string;
  fingerprint: string;
  tags: Tag[];
}

export interface StaticIp {
  name: string;
  region: string;
  createdSec: number;
  address: string;
  attachedTo: string;
}

export interface Operation {
  id: string;
  resourceName: string;
  resourceType: string;
  operationType: string;
  region: string;
  zone: string;
  createdMs: number;
  /** When it has succeeded. */
  endsMs: number;
}

export interface AwsState {
  counter: number;
  instances: Record<string, Instance>;
  keyPairs: Record<string, KeyPair>;
  staticIps: Record<string, StaticIp>;
  operations: Operation[];
}

const mostOperations = 500;

export class AwsStore {
  readonly #file: string;
  readonly state: AwsState;

  constructor(stateDir: string) {
    this.#file = join(privateFolder(join(stateDir, "aws")), "state.json");
    const empty: AwsState = { counter: 0, instances: {}, keyPairs: {}, staticIps: {}, operations: [] };
    // Written by this class alone, whole or not at all: what is there is what was written.
    this.state = Object.assign(empty, readJsonObject(this.#file));
  }

  save(): void {
    this.state.operations.splice(0, Math.max(0, this.state.operations.length - mostOperations));
    writeFileAtomic(this.#file, `${JSON.stringify(this.state)}\n`);
  }

  count(): number {
    this.state.counter += 1;
    return this.state.counter;
  }
}
