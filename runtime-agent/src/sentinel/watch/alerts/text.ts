/** Alerts as people read them. */
import type { Alert, Message } from "../core/outbox.ts";

/** Lines of a message; the rest is counted. */
const mostLines = 20;
const longestLine = 300;

function line({ subject, text }: Alert): string {
  const all = `${subject}: ${text}`;
  return all.length > longestLine ? `${all.slice(0, longestLine - 1)}…` : all;
}

/** One line for its head. */
export function titleOf({ alerts, lost }: Message): string {
  const [first] = alerts;
  if (alerts.length === 1 && lost === 0 && first !== undefined)
    return { problem: "Problem", solved: "Solved", notice: "Notice" }[first.kind] + `: ${first.subject}`;
  const count = (kind: Alert["kind"]): number => alerts.filter((alert) => alert.kind === kind).length;
  return `${String(count("problem"))} problems, ${String(count("solved"))} solved, ${String(count("notice"))} notices`;
}

/** All of it, a line for each alert. */
export function bodyOf({ alerts, lost }: Message): string {
  const shown = alerts.slice(-mostLines).map(line);
  const more = alerts.length - shown.length + lost;
  return [...(more > 0 ? [`${String(more)} earlier alerts are left out.`] : []), ...shown].join("\n");
}
