import { type OptionSpec, commands, commonOptions } from "./commands.ts";

const flag = (option: OptionSpec): string =>
  option.value === undefined ? `--${option.name}` : `--${option.name} ${option.value}`;

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join("\n");
}

/** Help for all commands, or for one. */
export function renderHelp(command?: string): string {
  const spec = commands.find((candidate) => candidate.name === command);
  if (spec === undefined) {
    return [
      "hive - a Proxmox estate as a Pulumi program",
      "",
      "Usage: hive COMMAND [arguments] [options]",
      "",
      columns(commands.map((each) => [each.name, each.text] as const)),
      "",
      "Every command works on the lab of this machine; a real host is touched with --target real alone.",
      "Data goes to stdout and messages to stderr; --json gives one JSON document.",
      "hive COMMAND --help tells a command's options.",
      "",
    ].join("\n");
  }
  const places = spec.positionals.map((name) => ` [${name}]`).join("");
  return [
    `hive ${spec.name} - ${spec.text}`,
    "",
    `Usage: hive ${spec.name}${places} [options]`,
    "",
    columns([...spec.options, ...commonOptions].map((option) => [flag(option), option.text] as const)),
    "",
  ].join("\n");
}
