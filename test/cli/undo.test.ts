import assert from "node:assert/strict";
import { basename } from "node:path";
import { decodeState, withoutResources } from "../../cli/repair/deployment.ts";
import { halfWritten, stepsTakenBack, stepsToUndo } from "../../cli/repair/undo.ts";
import { forgetsUndo, undoFile, undoMark } from "../../components/shared/undo.ts";

const stateOf = (resources: unknown[], pending: unknown[] = []): ReturnType<typeof decodeState> =>
  decodeState({ resources, pending_operations: pending });

describe("steps over SSH", () => {
  const known = {
    project: "hive",
    stack: "genesis",
    state: stateOf([
      { urn: "urn:pulumi:genesis::hive::command:remote:Command::host-storage-dataset", type: "command:remote:Command" },
    ]),
  };

  it("are undone only when they are ours and the state does not hold them", () => {
    const names = [
      "hive~genesis~host-firewall-enable.sh",
      "hive~genesis~host-storage-dataset.sh",
      "hive~other~host-firewall-enable.sh",
      "else~genesis~host-firewall-enable.sh",
      "hive~genesis~host-firewall-enable.sh.new",
      "hive~genesis~$(reboot).sh",
      "",
    ];
    assert.deepEqual(stepsToUndo(names, known), [{ project: "hive", stack: "genesis", step: "host-firewall-enable" }]);
  });

  it("leave no half-written undoing of ours behind", () => {
    const names = ["hive~genesis~a.sh.new", "hive~genesis~a.sh", "hive~other~a.sh.new", "notes.new"];
    assert.deepEqual(halfWritten(names, known), ["hive~genesis~a.sh.new"]);
    const marks = ["hive~genesis~a.sh.begun", "hive~genesis~b.sh.begun", "hive~genesis~b.sh", "hive~other~c.sh.begun"];
    assert.deepEqual(halfWritten(marks, known), ["hive~genesis~a.sh.begun"]);
  });

  describe("whose removal was cut off", () => {
    const type = "command:remote:Command";
    const urn = `urn:pulumi:genesis::hive::${type}::host-firewall-enable`;
    const file = undoFile({ project: "hive", stack: "genesis", step: "host-firewall-enable" });
    const step = { urn, type, inputs: { create: "on", delete: forgetsUndo(file, "off") } };
    const other = { urn: `urn:pulumi:genesis::hive::${type}::brain-root`, type, inputs: { create: "set" } };
    const resources = [step, other];
    const leaving = { ...known, state: stateOf(resources, [{ type: "deleting", resource: step }]) };
    const resting = { ...known, state: stateOf(resources) };
    const name = basename(file);

    it("are undone to their end, though the state still holds them, and forgotten", () => {
      assert.deepEqual(stepsToUndo([name], leaving), [
        { project: "hive", stack: "genesis", step: "host-firewall-enable" },
      ]);
      assert.deepEqual(stepsTakenBack([name], leaving), [urn]);
    });

    it("are undone to their end too when the host was lost on the way and the engine only told a failure", () => {
      const names = [name, basename(undoMark(file))];
      assert.deepEqual(stepsToUndo(names, resting), [
        { project: "hive", stack: "genesis", step: "host-firewall-enable" },
      ]);
      assert.deepEqual(stepsTakenBack(names, resting), [urn]);
    });

    it("are forgotten when the host has nothing of them any more, so that the next up makes them again", () => {
      assert.deepEqual(stepsToUndo([], resting), []);
      assert.deepEqual(stepsTakenBack([], resting), [urn]);
    });

    it("are none while the host has their undoing and nobody removed them", () => {
      assert.deepEqual(stepsToUndo([name], resting), []);
      assert.deepEqual(stepsTakenBack([name], resting), []);
    });

    it("leave the state with everything that depended on them", () => {
      const deployment = {
        resources: [{ ...other, dependencies: [urn, "x"], propertyDependencies: { a: [urn] } }, step],
      };
      assert.deepEqual(withoutResources(deployment, new Set([urn])), {
        resources: [{ ...other, dependencies: ["x"], propertyDependencies: { a: [] } }],
      });
    });
  });
});
