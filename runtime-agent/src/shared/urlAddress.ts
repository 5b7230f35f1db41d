/**
 * Where a URL of HTTP leads: an IPv6 host without its brackets, and its scheme's own port where none is written.
 * @throws TypeError when it is no URL
 */
export function urlAddress(url: string): { readonly host: string; readonly port: number } {
  const { hostname, port, protocol } = new URL(url);
  const usual = protocol === "https:" ? 443 : 80;
  return { host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? usual : Number(port) };
}
