// What is read of Kubernetes' objects. Fields that nobody reads stay as they are.
import * as z from "zod";

const names = z.record(z.string(), z.string()).default({});

const metadata = z.looseObject({
  name: z.string(),
  namespace: z.string().exactOptional(),
  uid: z.string(),
  labels: names,
  annotations: names,
  deletionTimestamp: z.string().exactOptional(),
  ownerReferences: z.array(z.looseObject({ kind: z.string(), name: z.string(), uid: z.string() })).default([]),
});

const condition = z.looseObject({ type: z.string(), status: z.string(), reason: z.string().default("") });
const taint = z.looseObject({ key: z.string(), value: z.string().default(""), effect: z.string() });

/** For a caller who reads nothing of the answer. */
export const anything = z.unknown();

export const podForm = z.looseObject({
  metadata,
  spec: z.looseObject({
    nodeName: z.string().default(""),
    schedulingGates: z.array(z.looseObject({ name: z.string() })).default([]),
  }),
  status: z.looseObject({ phase: z.string().default("Pending"), conditions: z.array(condition).default([]) }),
});
export type Pod = z.output<typeof podForm>;

export const nodeForm = z.looseObject({
  metadata,
  spec: z.looseObject({ unschedulable: z.boolean().default(false), taints: z.array(taint).default([]) }),
  status: z.looseObject({ conditions: z.array(condition).default([]), allocatable: names }),
});
export type ClusterNode = z.output<typeof nodeForm>;

export const jobForm = z.looseObject({
  metadata,
  status: z.looseObject({ succeeded: z.number().default(0), failed: z.number().default(0) }),
});

const list = <T extends z.core.$ZodType>(item: T): z.ZodObject<{ items: z.ZodArray<T> }, z.core.$loose> =>
  z.looseObject({ items: z.array(item) });

export const podList = list(podForm);
export const nodeList = list(nodeForm);
