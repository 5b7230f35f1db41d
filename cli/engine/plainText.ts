/** The engine's text without its colour marks (`<{%fg 1%}>`), terminal escapes and stack frames. */
export function plainText(text: string): string {
  return (
    text
      .replace(/<\{%[^%]*%\}>/g, "")
      // eslint-disable-next-line no-control-regex
      .replace(/\u001b\[[0-9;]*m/g, "")
      .split("\n")
      .filter((line) => !/^\s+at\s.*[:(]/.test(line) && !/^\s*at (async )?(file|node):/.test(line))
      .join("\n")
      .replace(/\n{2,}/g, "\n")
      .trim()
  );
}
