/** The names by which Nerve and its users speak in Kubernetes' objects. Pure; the chart, the agent and the guard read them. */

/** Prefix of all of them. */
export const nervePrefix = "nerve.io/";

/** A Pod with this label and value is looked at; every other one never reaches Nerve (seed `002_…`, module 1). */
export const tierLabel = { name: `${nervePrefix}tier`, value: "async" } as const;

/**
 * Nerve's own scheduling gate: a Pod that has it waits. Kubernetes lets a gate be set at creation alone, and removed later
 * (Pod Scheduling Readiness, stable since 1.30). Gates of others are never touched.
 */
export const holdGate = `${nervePrefix}hold`;

/** What a job's owner writes on its Pods' template. */
export const jobAnnotations = {
  /** RFC 3339 with its zone, or a duration from creation such as `8h`. */
  deadline: `${nervePrefix}deadline`,
  /** Compute time on one machine, such as `4h` or `90m`. */
  expectedDuration: `${nervePrefix}expected-duration`,
  /** `http:PORT/PATH` of the container's own server, which saves when it is called. Absent: no checkpoint. */
  checkpoint: `${nervePrefix}checkpoint`,
  /** How long one checkpoint takes, s. @default 30 */
  checkpointSeconds: `${nervePrefix}checkpoint-seconds`,
  /** Zones that the job may run in, with commas. @default all of the region */
  zones: `${nervePrefix}zones`,
  /** 0: price alone, 1: carbon alone. @default 0 */
  carbonWeight: `${nervePrefix}carbon-weight`,
} as const;

/** What Nerve writes. */
export const nerveAnnotations = {
  /** On a Pod that was let through untouched: why. */
  ignored: `${nervePrefix}ignored`,
  /** On a job's Pod: why the last decision was what it was. */
  decided: `${nervePrefix}decided`,
  /** On the agent's own Pod: when it was last well. The guard reads it. */
  heartbeat: `${nervePrefix}heartbeat`,
} as const;
