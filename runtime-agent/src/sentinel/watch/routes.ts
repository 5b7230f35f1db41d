/** What an administrator sees of the watch, and where those call who must call. */
import type { Route } from "../../shared/localApi/index.ts";
import { ApiError } from "../../shared/localApi/index.ts";
import type { ScheduleView } from "../schedule/scheduler.ts";
import type { WatchdogView } from "./watchdogs.ts";

export interface WatchView {
  watchdogs(): readonly WatchdogView[];
  schedules(): readonly ScheduleView[];
  reaper(): object;
  beat(name: string): boolean;
}

export function watchRoutes(view: WatchView): Route[] {
  return [
    { method: "GET", path: "/watchdogs", role: "admin", handle: () => ({ json: { watchdogs: view.watchdogs() } }) },
    {
      method: "POST",
      path: "/watchdogs/:name/beat",
      role: "service",
      handle({ params: { name = "" } }) {
        if (view.beat(name)) return { status: 202, json: { name } };
        throw new ApiError(404, "no such heartbeat", {
          property: "name",
          fix: "Name a watchdog of type heartbeat of the configuration.",
        });
      },
    },
    { method: "GET", path: "/schedules", role: "admin", handle: () => ({ json: { schedules: view.schedules() } }) },
    { method: "GET", path: "/reaper", role: "admin", handle: () => ({ json: view.reaper() }) },
  ];
}
