/** Set by the bundler; in the source tree there is no release. */
declare const HIVE_AGENT_VERSION: string | undefined;

/** Version of this release, or `0.0.0-source` when run from the source tree. */
export const version: string = typeof HIVE_AGENT_VERSION === "string" ? HIVE_AGENT_VERSION : "0.0.0-source";
