import { type OptionSpec, commands, commonOptions, groups } from "./commands.ts";

const flag = (option: OptionSpec): string =>
  option.value === undefined ? `--${option.name}` : `--${option.name} ${option.value}`;

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join("\n");
}

/** A command's place in the list of all; those of a group stand in its own. */
const isInGroup = (name: string): boolean => name.includes(" ");

function renderGroup(group: string): string {
  const own = commands.filter(({ name }) => name.startsWith(`${group} `));
  return [
    `hive ${group} - ${groups[group] ?? ""}`,
    "",
    `Usage: hive ${group} COMMAND [arguments] [options]`,
    "",
    columns(own.map(({ name, text }) => [name.slice(group.length + 1), text] as const)),
    "",
    `hive ${group} COMMAND --help tells a command's options.`,
    "",
  ].join("\n");
}

/** Help for all commands, for a group of them, or for one. */
export function renderHelp(command?: string): string {
  if (command !== undefined && Object.hasOwn(groups, command)) return renderGroup(command);
  const spec = commands.find((candidate) => candidate.name === command);
  if (spec === undefined) {
    return [
      "hive - a Proxmox estate as a Pulumi program",
      "",
      "Usage: hive COMMAND [arguments] [options]",
      "",
      columns([
        ...commands.filter(({ name }) => !isInGroup(name)).map(({ name, text }) => [name, text] as const),
        ...Object.entries(groups),
      ]),
      "",
      "Every command works on the lab of this machine; a real host is touched with --target real alone.",
      "Data goes to stdout and messages to stderr; --json gives one JSON document.",
      "hive COMMAND --help tells a command's options.",
      "",
    ].join("\n");
  }
  const places = spec.positionals.map((name) => (name === name.toUpperCase() ? ` ${name}` : ` [${name}]`)).join("");
  return [
    `hive ${spec.name} - ${spec.text}`,
    "",
    `Usage: hive ${spec.name}${places} [options]`,
    "",
    columns([...spec.options, ...commonOptions].map((option) => [flag(option), option.text] as const)),
    "",
  ].join("\n");
}
