/**
 * Whether credentials for `start` may be sent to `url`: to the same host, port and scheme only, or from plain HTTP to TLS on the usual
 * ports. Other ports of a machine, and hosts below its name, may belong to somebody else.
 */
export function mayKnow(start: URL, url: URL): boolean {
  if (start.origin === url.origin) return true;
  const secured = start.protocol === 'http:' && url.protocol === 'https:';
  return secured && start.hostname === url.hostname && start.port === '' && url.port === '';
}
