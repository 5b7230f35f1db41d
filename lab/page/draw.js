// Drawing: each function makes DOM from a part of the view. Text is only ever set as text, never as markup.

/** @param {string} tag @param {Record<string, string>} [attributes] @param {...(Node | string)} children */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function makeSvg(tag, attributes = {}, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const tones = new Map();

/** One colour for each guest: the golden angle apart, in the order of their ids, from the Hive's own honey on. */
export function setTones(guests) {
  guests.forEach((guest, index) => tones.set(guest.vmid, `hsl(${Math.round((38 + index * 137.508) % 360)} 62% 44%)`));
}

export function toneOf(vmid) {
  return tones.get(vmid) ?? "var(--soft)";
}

export function size(bytes) {
  if (!(bytes > 0)) return "0";
  const power = Math.min(4, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${["B", "KB", "MB", "GB", "TB"][power]}`;
}

function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}

export function bar(part, whole, tone) {
  const inner = make("i");
  inner.style.width = `${whole > 0 ? Math.min(100, (part / whole) * 100) : 0}%`;
  if (tone !== undefined) inner.style.background = tone;
  return make("div", { class: "bar" }, inner);
}

/** `0,1,2,16` as people write it: `0-2,16`. */
export function ranges(numbers) {
  const parts = [];
  for (const number of numbers) {
    const last = parts.at(-1);
    if (last !== undefined && last[1] === number - 1) last[1] = number;
    else parts.push([number, number]);
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(",");
}

export function figures(view) {
  const running = view.guests.filter((guest) => guest.state === "running");
  const given = running.reduce((sum, guest) => sum + guest.memoryBytes, 0);
  const pinned = new Set(view.guests.flatMap((guest) => guest.pins)).size;
  const list = [
    [`${running.length} of ${view.guests.length}`, "machines running"],
    [`${view.node.cores} / ${view.node.threads}`, "cores / threads"],
    [`${pinned}`, "threads pinned"],
    [size(view.node.memoryBytes), "host memory"],
    [size(given), "given to running guests"],
    [`${view.bridges.length}`, "bridges"],
  ];
  return list.map(([value, label]) => make("div", { class: "figure" }, make("b", {}, value), make("span", {}, label)));
}

export function machine(guest) {
  const card = make("article", { class: `machine ${guest.state}` });
  card.style.setProperty("--tone", toneOf(guest.vmid));
  const uptime = guest.state === "running" && guest.uptimeSec > 0 ? ` · ${duration(guest.uptimeSec)}` : "";
  card.append(
    make(
      "div",
      { class: "top" },
      make("span", { class: "id" }, String(guest.vmid)),
      make("span", { class: "name" }, guest.name),
      make("span", { class: `state ${guest.state}` }, `${guest.template ? "template" : guest.state}${uptime}`),
    ),
    make(
      "p",
      { class: "facts" },
      [guest.kind === "lxc" ? "container" : "VM", `${guest.cores} vCPU`, size(guest.memoryBytes)].join(" · "),
    ),
  );
  if (guest.state === "running") card.append(bar(guest.memoryUsedBytes, guest.memoryBytes, toneOf(guest.vmid)));
  const lines = [
    guest.addresses.join("  "),
    guest.pins.length > 0 ? `pinned ${ranges(guest.pins)}` : "",
    guest.devices.join(", "),
    guest.sshPort === undefined ? "" : `ssh 127.0.0.1:${guest.sshPort}`,
  ].filter((line) => line !== "");
  for (const line of lines) card.append(make("p", { class: "facts mono" }, line));
  if (guest.tags.length > 0)
    card.append(make("div", { class: "tags" }, ...guest.tags.map((tag) => make("span", { class: "tag" }, tag))));
  return card;
}

/** One tile a core: threads n and n + cores are siblings, as Linux numbers them; with one thread a core, no halves. */
export function coreMap(view) {
  const { cores, threads } = view.node;
  if (!(cores > 0)) return make("p", { class: "soft" }, "The host does not tell its cores.");
  const perCore = Math.max(1, Math.round(threads / cores));
  const owners = (thread) => view.guests.filter((guest) => guest.pins.includes(thread));
  const columns = Math.min(cores <= 16 ? 4 : 8, cores);
  const rows = Math.ceil(cores / columns);
  const [width, height, gap] = [92, 52, 8];
  const svg = makeSvg("svg", {
    class: "cores",
    viewBox: `0 0 ${columns * (width + gap) - gap} ${rows * (height + 16 + gap) - gap}`,
    role: "img",
    "aria-label": `${cores} cores with ${threads} threads`,
  });
  for (let core = 0; core < cores; core += 1) {
    const x = (core % columns) * (width + gap);
    const y = Math.floor(core / columns) * (height + 16 + gap);
    for (let half = 0; half < perCore; half += 1) {
      const thread = core + half * cores;
      const sharing = owners(thread);
      const tileHeight = (height - (perCore - 1) * 3) / perCore;
      const tileY = y + half * (tileHeight + 3);
      const tile = makeSvg("rect", { class: "thread", x, y: tileY, width, height: tileHeight, rx: 6 });
      const names = sharing.map((guest) => `${guest.vmid} ${guest.name}`).join(", ");
      tile.append(makeSvg("title", {}, `thread ${thread}: ${names || "not pinned"}`));
      svg.append(tile);
      const [only] = sharing;
      if (only !== undefined && sharing.length === 1) tile.style.fill = toneOf(only.vmid);
      else svg.append(...stripes(sharing, { x: x + 8, y: tileY + tileHeight - 5, width: width - 16 }));
      const label = { x: x + width / 2, y: tileY + tileHeight / 2 + 3.5, class: sharing.length === 1 ? "on" : "" };
      svg.append(makeSvg("text", label, String(thread)));
    }
    svg.append(makeSvg("text", { x: x + width / 2, y: y + height + 12 }, `core ${core}`));
  }
  return svg;
}

/** A thread that several guests share: one short stripe a guest, in its colour. */
function stripes(guests, { x, y, width }) {
  const each = width / guests.length;
  return guests.map((guest, index) => {
    const stripe = makeSvg("rect", { x: x + index * each, y, width: Math.max(1, each - 1.5), height: 3, rx: 1.5 });
    stripe.style.fill = toneOf(guest.vmid);
    return stripe;
  });
}

export function legend(view) {
  return view.guests
    .filter((guest) => guest.pins.length > 0)
    .map((guest) => {
      const swatch = make("i");
      swatch.style.background = toneOf(guest.vmid);
      return make("li", {}, swatch, `${guest.vmid} ${guest.name} · ${guest.pins.length} threads`);
    });
}

export function bridge(entry) {
  const facts = [
    entry.address || "no address",
    `MTU ${entry.mtu}`,
    entry.vlanAware ? "VLAN aware" : "",
    entry.ports ? `uplink ${entry.ports}` : "no uplink",
  ];
  const nics = entry.nics.map((nic) => {
    const swatch = make("i");
    swatch.style.background = toneOf(nic.vmid);
    return make(
      "span",
      { class: "nic" },
      swatch,
      `${nic.vmid} ${nic.name} · ${nic.nic}${nic.vlan === undefined ? "" : ` · VLAN ${nic.vlan}`}`,
    );
  });
  return make(
    "div",
    { class: "bridge" },
    make("div", { class: "row" }, make("b", {}, entry.name), make("span", { class: "soft" }, entry.comment)),
    make("p", { class: "facts" }, facts.filter((fact) => fact !== "").join(" · ")),
    make("div", { class: entry.ports ? "rail" : "rail inner" }),
    make("div", { class: "nics" }, ...(nics.length > 0 ? nics : [make("span", { class: "soft" }, "nothing attached")])),
  );
}

export function storage(entry) {
  return make(
    "div",
    { class: "item" },
    make(
      "div",
      { class: "row" },
      make("b", {}, entry.name),
      make("span", { class: "soft" }, `${size(entry.usedBytes)} of ${size(entry.totalBytes)}`),
    ),
    bar(entry.usedBytes, entry.totalBytes),
    make("p", { class: "facts" }, `${entry.type} · ${entry.content}${entry.active ? "" : " · inactive"}`),
  );
}

export function mapping(entry, guests) {
  const holders = entry.holders.map((vmid) => `${vmid} ${guests.find((guest) => guest.vmid === vmid)?.name ?? ""}`);
  return make(
    "div",
    { class: "item" },
    make(
      "div",
      { class: "row" },
      make("b", {}, entry.id),
      make("span", { class: "soft" }, holders.join(", ") || "free"),
    ),
    make("p", { class: "facts" }, `${entry.kind.toUpperCase()}${entry.description ? ` · ${entry.description}` : ""}`),
  );
}

function clock(date) {
  return Number.isNaN(date.getTime())
    ? ""
    : date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

export function task(entry) {
  const fine = entry.status === "OK";
  const state = fine ? "" : entry.endSec === undefined ? "busy" : "bad";
  const length = entry.endSec === undefined ? "" : ` ${duration(entry.endSec - entry.startSec)}`;
  return make(
    "li",
    {},
    make("time", {}, clock(new Date(entry.startSec * 1000))),
    make(
      "span",
      { class: `what ${state}` },
      `${entry.type} ${entry.id} · ${fine ? "done" : entry.status}${length} · ${entry.user}`,
    ),
  );
}

export function event(entry) {
  return make("li", {}, make("time", {}, clock(new Date(entry.at))), make("span", { class: "what" }, entry.text));
}
