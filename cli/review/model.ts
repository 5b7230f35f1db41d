/** What happens to a resource, as reviewers tell it apart; replacements are one change, whatever steps the engine takes. */
export type ReviewOp = "create" | "update" | "replace" | "delete" | "import" | "read" | "same";

/** One property that changes. Values are text for people, without secrets. */
export interface PropertyChange {
  /** For example `memory.dedicated`. */
  readonly path: string;
  readonly kind: "add" | "delete" | "update";
  /** Whether this property forces the replacement. */
  readonly replaces: boolean;
  /** Value before; absent when there was none or it is no plain value. */
  readonly before?: string | undefined;
  readonly after?: string | undefined;
}

/** A fact before and after; `undefined` where the resource does not exist on that side. */
export interface BeforeAfter<T> {
  readonly before: T | undefined;
  readonly after: T | undefined;
}

/** What the preview would do to one resource. */
export interface ReviewStep {
  readonly op: ReviewOp;
  readonly urn: string;
  /** Type token, for example `proxmoxve:index/vmLegacy:VmLegacy`. */
  readonly type: string;
  readonly name: string;
  readonly changes: readonly PropertyChange[];
  /** Passed-through devices (resource mappings or raw addresses). */
  readonly devices: BeforeAfter<readonly string[]>;
  /** Pulumi's protection from deletion. */
  readonly protect: BeforeAfter<boolean>;
  /** Proxmox's own protection from deletion. */
  readonly protection: BeforeAfter<boolean>;
}

/** A violation that a policy reported. */
export interface PolicyResult {
  readonly policy: string;
  readonly pack: string;
  readonly level: "mandatory" | "advisory";
  readonly urn?: string | undefined;
  /** The rule's description, and what was found. */
  readonly message: string;
  readonly reason?: string | undefined;
  readonly fix?: string | undefined;
}

/** An error or a warning of the engine or of a provider. */
export interface ReviewDiagnostic {
  readonly severity: "error" | "warning";
  readonly urn?: string | undefined;
  readonly message: string;
}

/** Everything that a review shows. */
export interface ReviewInput {
  /** For example `genesis`. */
  readonly stack: string;
  readonly steps: readonly ReviewStep[];
  readonly policies: readonly PolicyResult[];
  readonly diagnostics: readonly ReviewDiagnostic[];
  /** Policy packs that ran, as `name version`. */
  readonly packs: readonly string[];
  /** Whether the preview came to its end. A mandatory violation also stops it. */
  readonly finished: boolean;
}
