/**
 * Whether credentials for `start` may go to `url`: to the same host, port and scheme only, and from the clear to TLS on the usual ports. Who
 * runs a server runs neither the other ports of its machine nor the hosts below its name.
 */
export function mayKnow(start: URL, url: URL): boolean {
  if (start.origin === url.origin) return true;
  const secured = start.protocol === 'http:' && url.protocol === 'https:';
  return secured && start.hostname === url.hostname && start.port === '' && url.port === '';
}
