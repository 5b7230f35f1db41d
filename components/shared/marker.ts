/**
 * The mark that every object of ours carries from the creating call on, so that a later run can tell its own objects
 * from a stranger's: project, stack and URN in the object's description (or comment).
 */
export interface Marker {
  readonly project: string;
  readonly stack: string;
  /** The resource's URN. */
  readonly urn: string;
}

const pattern = /\[hive project=([A-Za-z0-9_.-]+) stack=([A-Za-z0-9_.-]+) urn=(urn:pulumi:[^\]\s]+)\]/;

/** The mark as one line of text, to be appended to a description. */
export function renderMarker(marker: Marker): string {
  return `[hive project=${marker.project} stack=${marker.stack} urn=${marker.urn}]`;
}

/** The mark inside a description, if there is one. */
export function parseMarker(text: string | undefined): Marker | undefined {
  const [, project, stack, urn] = pattern.exec(text ?? "") ?? [];
  return project !== undefined && stack !== undefined && urn !== undefined ? { project, stack, urn } : undefined;
}
