/** Deepest nesting of a payload or a result. What walks through JSON by recursion has a stack that ends somewhere. */
const deepest = 200;

/**
 * Whether a JSON text is nested no deeper than all that handles it can go.
 * @param around levels that are still put around it
 */
export function isShallow(text: string, around = 0): boolean {
  let depth = around;
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (quoted) {
      if (unit === 0x5c) at += 1;
      else if (unit === 0x22) quoted = false;
    } else if (unit === 0x22) quoted = true;
    else if (unit === 0x5b || unit === 0x7b) depth += 1;
    else if (unit === 0x5d || unit === 0x7d) depth -= 1;
    if (depth > deepest) return false;
  }
  return true;
}
