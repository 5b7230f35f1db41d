// The page: one stream of views from the lab, drawn whole each time one differs from the last.
import { bridge, coreMap, event, figures, legend, machine, mapping, setTones, size, storage, task } from "./draw.js";

import {
  keeperBadges,
  keeperDecision,
  keeperGpu,
  keeperHolder,
  keeperQueue,
  keeperService,
  keeperStep,
} from "./keeper.js";

// The token opened the page; a cookie carries it from here on, so that it does not stay in the address bar.
history.replaceState(null, "", "/");

const at = (id) => document.getElementById(id);
const drawn = new Map();

/** Redraws one part only when its data changed: what a person reads or scrolls stays where it is. */
function put(id, data, draw) {
  const key = JSON.stringify(data);
  if (drawn.get(id) === key) return false;
  drawn.set(id, key);
  at(id).replaceChildren(...[draw()].flat());
  return true;
}

/** Scrolls the list, and nothing else, to the scene that is played. */
function showScene(list) {
  const now = list.querySelector(".now");
  if (now !== null) list.scrollTop = now.offsetTop - list.offsetTop - list.clientHeight / 3;
}

function none(text) {
  return Object.assign(document.createElement("p"), { className: "soft", textContent: text });
}

function listOr(items, text) {
  return items.length > 0 ? items : none(text);
}

function show(view) {
  const { node } = view;
  setTones(view.guests);
  showKeeper(view.keeper);
  at("host").textContent = [
    node.name,
    node.version && `Proxmox VE ${node.version}`,
    node.cpuModel,
    size(node.memoryBytes),
  ]
    .filter(Boolean)
    .join(" · ");
  put("figures", [node, view.guests, view.bridges.length], () => figures(view));
  put("machines", view.guests, () =>
    listOr(view.guests.map(machine), "No machine yet: run “npm start” or “pulumi up”."),
  );
  put("cores", [node.cores, node.threads, view.guests.map((guest) => [guest.vmid, guest.pins])], () => coreMap(view));
  put(
    "legend",
    view.guests.map((guest) => [guest.vmid, guest.name, guest.pins]),
    () => listOr(legend(view), "Nothing is pinned."),
  );
  put("bridges", [view.bridges, view.guests.length], () => listOr(view.bridges.map(bridge), "No bridge."));
  put("storages", view.storages, () => listOr(view.storages.map(storage), "No storage."));
  put("mappings", [view.mappings, view.guests.map((guest) => guest.name)], () =>
    listOr(
      view.mappings.map((entry) => mapping(entry, view.guests)),
      "No device is mapped.",
    ),
  );
  put("tasks", view.tasks, () => listOr(view.tasks.map(task), "No task yet."));
  put("events", view.events, () => listOr(view.events.map(event).reverse(), "No event yet."));
}

function showKeeper(keeper) {
  const { running, why, holder, timeZone } = keeper;
  // Minutes are shown: nothing is redrawn between two of them.
  const minute = keeper.clockMs === undefined ? undefined : Math.floor(keeper.clockMs / 60_000);
  put("keeper-badges", [running, minute, timeZone, keeper.marketOpen, keeper.night, keeper.hostHeard], () =>
    keeperBadges(keeper),
  );
  put("keeper-holder", [running, why, holder], () => keeperHolder(keeper));
  put("keeper-queue", keeper.queue, () => keeperQueue(keeper));
  put("keeper-gpu", [running, keeper.gpu], () => (running ? keeperGpu(keeper.gpu) : []));
  put("keeper-services", keeper.services, () => keeper.services.map(keeperService));
  if (put("keeper-evening", keeper.evening, () => keeper.evening.map(keeperStep))) showScene(at("keeper-evening"));
  put("keeper-decisions", [keeper.decisions, timeZone], () =>
    keeper.decisions.map((entry) => keeperDecision(entry, timeZone)),
  );
}

function setLink(state, text) {
  at("link").className = `link ${state}`;
  at("link").textContent = text;
}

const first = await fetch("/view.json");
if (first.ok) show(await first.json());

const source = new EventSource("/events");
source.addEventListener("message", (message) => {
  const view = JSON.parse(message.data);
  if (view.unavailable !== undefined) return setLink("lost", "API not answering");
  show(view);
  setLink("live", "live");
});
source.addEventListener("error", () =>
  setLink(
    "lost",
    source.readyState === EventSource.CLOSED ? "closed: open the address the lab printed" : "reconnecting",
  ),
);
