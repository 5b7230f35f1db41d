import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sourcesMarkdown } from "../../lab/proxmox/sources.ts";

const file = join(import.meta.dirname, "../../docs/lab-routes.md");
const head = `# Routes of the lab's Proxmox API

Every route that the lab answers, and where its behaviour was read: Proxmox's own Perl source, or the decoder of bpg's
provider with its version. A route without a source answers 501. Generated from the route definitions
(\`UPDATE_SNAPSHOTS=1 npm test -- --tier lab --grep routes\`).

`;

describe("the table of the lab's routes", () => {
  it("is the one in the documentation", () => {
    const actual = `${head}${sourcesMarkdown()}\n`;
    if (process.env["UPDATE_SNAPSHOTS"] === "1") writeFileSync(file, actual);
    assert.equal(actual, readFileSync(file, "utf8"));
  });
});
