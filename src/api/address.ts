import { KilnError } from '../base/errors.ts';

/** Where a server listens or a client connects. */
export type Address =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** Parses `unix://PATH` and `tcp://HOST:PORT`. Throws `invalid_argument`. */
export function parseAddress(text: string): Address {
  if (text.startsWith('unix://') && text.length > 'unix://'.length) {
    return { kind: 'unix', path: text.slice('unix://'.length) };
  }
  if (text.startsWith('tcp://') && URL.canParse(text)) {
    const { hostname, port } = new URL(text);
    if (port !== '') return { kind: 'tcp', host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) };
  }
  throw new KilnError('invalid_argument', `invalid address ${JSON.stringify(text)}`, {
    hint: 'write it as unix:///path/to/socket or tcp://host:port',
  });
}

export function formatAddress(address: Address): string {
  switch (address.kind) {
    case 'unix':
      return `unix://${address.path}`;
    case 'tcp':
      return `tcp://${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
  }
}

/** In the form that `net.connect` and `server.listen` take. */
export function socketOptions(address: Address): { path: string } | { host: string; port: number } {
  switch (address.kind) {
    case 'unix':
      return { path: address.path };
    case 'tcp':
      return { host: address.host, port: address.port };
  }
}
