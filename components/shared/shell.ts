/** A value as one single-quoted word of a POSIX shell, whatever it holds. */
export function shellWord(value: string | number): string {
  return `'${String(value).replaceAll("'", String.raw`'\''`)}'`;
}

/** Shell variables for the head of a script, one assignment a line, in the order given. */
export function shellVariables(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${shellWord(value)}`)
    .join("\n");
}
