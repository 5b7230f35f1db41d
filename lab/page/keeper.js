// Drawing of the Keeper: who holds the card, who waits, who is frozen, how the card does, and why.
import { bar, make } from "./draw.js";

const rankNames = { 1: "The Banker", 2: "EVA Core", 3: "The Sentinel", 4: "The Muse" };

function gigabytes(mib) {
  return `${(mib / 1024).toFixed(1)} GB`;
}

/** Local time of the Keeper's zone; the simulated day where an evening is played. */
function keeperTime(at, timeZone, weekday = false) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return "";
  const options = { hour: "2-digit", minute: "2-digit", hour12: false, ...(weekday ? { weekday: "short" } : {}) };
  try {
    return date.toLocaleString("en-GB", { ...options, timeZone });
  } catch {
    return date.toLocaleString("en-GB", options);
  }
}

export function keeperBadges(keeper) {
  if (!keeper.running) return [make("span", { class: "badge off" }, "not running")];
  const badges = [];
  if (keeper.clockMs !== undefined)
    badges.push(make("span", { class: "badge clock" }, keeperTime(keeper.clockMs, keeper.timeZone, true)));
  const market = keeper.marketOpen ? "open" : "closed";
  badges.push(make("span", { class: `badge ${market}` }, `market ${market}`));
  if (keeper.night) badges.push(make("span", { class: "badge night" }, "the Muse's night"));
  if (keeper.hostHeard) badges.push(make("span", { class: "badge" }, "host side heard"));
  return badges;
}

export function keeperHolder(keeper) {
  if (!keeper.running) return make("p", { class: "soft" }, keeper.why);
  const { holder } = keeper;
  if (holder === undefined)
    return make("div", { class: "holder free" }, make("b", {}, "free"), make("span", {}, "nobody holds the GPU"));
  return make(
    "div",
    { class: `holder rank${holder.rank}` },
    make("b", {}, holder.service),
    make("span", {}, `rank ${holder.rank}, ${rankNames[holder.rank] ?? ""} · token ${holder.token}`),
  );
}

export function keeperQueue(keeper) {
  return keeper.queue.map((entry) =>
    make(
      "div",
      { class: "row" },
      make("span", {}, make("i", { class: `dot rank${entry.rank}` }), entry.service),
      make("span", { class: "soft" }, `waits ${(entry.waitingMs / 1000).toFixed(1)} s`),
    ),
  );
}

export function keeperService(service) {
  return make(
    "div",
    { class: `service ${service.lowered ? "lowered" : ""} ${service.state.startsWith("holds") ? "running" : ""}` },
    make(
      "div",
      { class: "row" },
      make("span", {}, make("i", { class: `dot rank${service.rank}` }), make("b", {}, service.name)),
      make("span", { class: "state" }, service.state),
    ),
    make(
      "p",
      { class: "facts" },
      [`rank ${service.rank}`, service.kind, gigabytes(service.vramMiB), service.why].filter(Boolean).join(" · "),
    ),
  );
}

function gauge(label, text, part, whole, tone) {
  return make(
    "div",
    { class: "gauge" },
    make("div", { class: "row" }, make("span", { class: "soft" }, label), make("b", {}, text)),
    bar(part, whole, tone),
  );
}

function heatTone(celsius) {
  return celsius > 80 ? "var(--bad)" : celsius >= 72 ? "var(--honey)" : "var(--good)";
}

export function keeperGpu(gpu) {
  if (gpu.kind !== "known")
    return [make("p", { class: "soft" }, gpu.kind === "absent" ? "No GPU here." : `GPU ${gpu.kind}: ${gpu.reason}`)];
  const parts = [make("p", { class: "facts" }, gpu.name)];
  if (gpu.temperatureC !== undefined)
    parts.push(gauge("temperature", `${gpu.temperatureC} °C`, gpu.temperatureC, 100, heatTone(gpu.temperatureC)));
  parts.push(
    gauge("VRAM", `${gigabytes(gpu.vramUsedMiB)} of ${gigabytes(gpu.vramTotalMiB)}`, gpu.vramUsedMiB, gpu.vramTotalMiB),
  );
  if (gpu.powerWatts !== undefined) {
    const limit = gpu.powerLimitWatts === undefined ? "" : ` of ${Math.round(gpu.powerLimitWatts)} W`;
    const mode = gpu.power === "" ? "" : `, ${gpu.power}`;
    const text = `${Math.round(gpu.powerWatts)} W${limit}${mode}`;
    parts.push(gauge("power", text, gpu.powerWatts, gpu.powerLimitWatts ?? 350, "var(--honey)"));
  }
  return parts;
}

export function keeperDecision(entry, timeZone) {
  return make(
    "li",
    {},
    make("time", {}, keeperTime(entry.atMs, timeZone)),
    make("span", { class: "what" }, [entry.what, entry.service, entry.reason].filter(Boolean).join(" · ")),
  );
}

export function keeperStep(entry) {
  return make("li", { class: entry.state }, make("time", {}, entry.at), make("span", { class: "what" }, entry.text));
}
