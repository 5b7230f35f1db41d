import { isGuest, readGuest } from "../estate.ts";
import { isKnown } from "../facts.ts";
import { resourceRule } from "../rule.ts";

/** Guest ids stay where the estate puts them. */
export default resourceRule({
  name: "guest-id-range",
  description: "Guest ids are 100 to 401; workers have 300 to 399 and nobody else has.",
  reason:
    "Firewall rules, addresses and the Keeper tell guests apart by their ids; ids outside are free for guests that are not ours (design §4).",
  fix: "Choose a free id in the range of the guest's role.",
  config: {
    defaults: { idMin: 100, idMax: 401, workerIdMin: 300, workerIdMax: 399, workerRole: "worker" },
    schema: {
      idMin: { type: "integer", minimum: 100, description: "Lowest id." },
      idMax: { type: "integer", description: "Highest id." },
      workerIdMin: { type: "integer", description: "Lowest id of a worker." },
      workerIdMax: { type: "integer", description: "Highest id of a worker." },
      workerRole: { type: "string", description: "Role (tag role-<role>) of a worker." },
    },
  },
  check: (resource, config) => {
    if (!isGuest(resource)) return [];
    const { name, id, roles } = readGuest(resource);
    const show = `${String(config.idMin)} to ${String(config.idMax)}`;
    if (id === undefined) return [`Guest ${name} has no id of its own: Proxmox would choose one; allowed: ${show}.`];
    if (!isKnown(id)) return [];
    if (id < config.idMin || id > config.idMax) return [`Guest ${name} has id ${String(id)}; allowed: ${show}.`];
    if (!isKnown(roles)) return [];
    const inWorkers = id >= config.workerIdMin && id <= config.workerIdMax;
    if (inWorkers === roles.includes(config.workerRole)) return [];
    const workers = `${String(config.workerIdMin)} to ${String(config.workerIdMax)}`;
    return [
      inWorkers
        ? `Guest ${name} has id ${String(id)}, which is for workers (${workers}).`
        : `Worker ${name} has id ${String(id)}; allowed for workers: ${workers}.`,
    ];
  },
});
