/**
 * Rules between properties. They read the raw file, so that they are told together with the faults of single
 * properties: whatever is not of the expected shape is left to those.
 */
import { show } from "../check.ts";
import type { Fault } from "../faults.ts";
import { formatMiB, parseMiB } from "../units.ts";
import { duplicates, exactlyOne, items, mapping, numberOr, type Raw } from "./crossParts.ts";

/** An amount of memory in MiB; the default where it is missing, and NaN, which breaks no rule, where it is wrong. */
function mibOr(value: unknown, otherwise: number): number {
  if (value === undefined) return otherwise;
  const parsed = typeof value === "string" || typeof value === "number" ? parseMiB("", value) : undefined;
  return parsed?.ok === true ? parsed.value : Number.NaN;
}

function arbiterFaults(arbiter: Raw): Fault[] {
  const faults: Fault[] = [];
  const services = items(arbiter.services);
  faults.push(...duplicates("arbiter.services", services, "name"));
  services.forEach((service, index) => {
    const property = `arbiter.services[${String(index)}]`;
    faults.push(...exactlyOne(property, service, ["cgroup", "unit", "container", "pidFile"], 1));
    const rungs: readonly unknown[] = Array.isArray(service.rungs) ? service.rungs : [];
    if (rungs.includes("application") && service.application === undefined) {
      const fix = "Write `application`, or remove the rung.";
      faults.push({ property: `${property}.rungs`, value: "application", limit: "rungs that can be done", fix });
    }
    if (new Set(rungs).size !== rungs.length) {
      faults.push({
        property: `${property}.rungs`,
        value: "a rung twice",
        limit: "each rung once",
        fix: "Remove one.",
      });
    }
  });
  faults.push(...exactlyOne("arbiter.gpu", mapping(arbiter.gpu), ["index", "uuid"], 0));
  const thermal = mapping(arbiter.thermal);
  const [cap, pause, limit] = [numberOr(thermal.capC, 72), numberOr(thermal.pauseC, 76), numberOr(thermal.limitC, 80)];
  if (!(cap <= pause && pause <= limit)) {
    const value = `capC ${String(cap)}, pauseC ${String(pause)}, limitC ${String(limit)}`;
    faults.push({ property: "arbiter.thermal", value, limit: "capC ≤ pauseC ≤ limitC", fix: "Put them in order." });
  }
  const muse = mapping(arbiter.muse);
  const [below, above] = [numberOr(muse.loadBelow, 0.5), numberOr(muse.loadAbove, 4)];
  if (above < below) {
    const fix = "Raise loadAbove, or lower loadBelow.";
    faults.push({ property: "arbiter.muse.loadAbove", value: String(above), limit: `at least ${String(below)}`, fix });
  }
  return faults;
}

function hostFaults(host: Raw): Fault[] {
  const faults: Fault[] = [];
  const guests = items(host.guests);
  faults.push(...duplicates("host.guests", guests, "vmid"));
  if (host.proxmox !== undefined) {
    const proxmox = mapping(host.proxmox);
    faults.push(...exactlyOne("host.proxmox", proxmox, ["fingerprint", "caFile"], 1));
    if (typeof proxmox.url === "string" && proxmox.url.startsWith("http://")) {
      const fix = "Write https://: the token would travel in clear.";
      faults.push({ property: "host.proxmox.url", value: show(proxmox.url), limit: "https", fix });
    }
  }
  const pressure = mapping(host.memoryPressure);
  const [below, above] = [mibOr(pressure.availableBelow, 4096), mibOr(pressure.availableAbove, 8192)];
  if (above <= below) {
    const limit = `more than availableBelow, ${formatMiB(below)}`;
    const value = show(pressure.availableAbove) ?? formatMiB(above);
    faults.push({ property: "host.memoryPressure.availableAbove", value, limit, fix: "Leave room between the two." });
  }
  if (mapping(host.handoff).enabled === true && mapping(host.link).vmid === null) {
    const fix = "Disable the handoff, or name the VM that the arbiter lives in as link.vmid.";
    faults.push({
      property: "host.handoff.enabled",
      value: "true, and link.vmid null",
      limit: "an arbiter in a VM",
      fix,
    });
  }
  if (mapping(host.handoff).enabled === true && guests.filter((guest) => guest.gpuContender === true).length < 2) {
    const fix = "Mark the guests that the GPU may move between, or disable the handoff.";
    faults.push({ property: "host.handoff.enabled", value: "true", limit: "two guests with gpuContender", fix });
  }
  return faults;
}

/** Every broken rule between properties. */
export function crossFaults(raw: unknown): readonly Fault[] {
  const root = mapping(raw);
  const faults: Fault[] = [];
  const side = root.side;
  if ((side === "arbiter" || side === "host") && root[side] === undefined) {
    const fix = `Write ${side}: with its settings below.`;
    faults.push({ property: side, limit: `the section of side ${side}`, fix });
  }
  const market = mapping(root.market);
  const time = (value: unknown, otherwise: string): string => (typeof value === "string" ? value : otherwise);
  const [open, close] = [time(market.open, "08:00"), time(market.close, "23:00")];
  const wellFormed = [open, close].every((text) => /^(?:[01]\d|2[0-3]):[0-5]\d$|^24:00$/.test(text));
  if (wellFormed && open >= close) {
    const fix = "Let the market close after it opens.";
    faults.push({ property: "market.close", value: show(close), limit: `after ${open}`, fix });
  }
  return [...faults, ...arbiterFaults(mapping(root.arbiter)), ...hostFaults(mapping(root.host))];
}
