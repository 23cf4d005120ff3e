import { isIP } from 'node:net';
import { KilnError } from '../../../../base/errors.ts';

/** One `EXPOSE` argument: `[[ip:]host:]port[-last][/protocol]`. */
export interface ExposedPort {
  /** Each as `port/protocol`. */
  readonly ports: readonly string[];
  /** Whether an address or a host port was given, which mean nothing here. */
  readonly mapped: boolean;
  /** Whether the protocol was not written in lower case. */
  readonly oddCase: boolean;
}

/** Throws `invalid_argument`. */
export function parseExposedPort(text: string): ExposedPort {
  const invalid = (why: string) =>
    new KilnError('invalid_argument', `invalid port ${JSON.stringify(text)}: ${why}`, {
      hint: 'write it as 80, 8000-8010 or 53/udp',
    });
  const parts = text.split(':');
  const target = parts.pop()!;
  const hostPort = parts.pop() ?? '';
  const address = parts.join(':');
  const [range = '', protocol = ''] = target.split(/\/(.*)/s);
  if (range === '') throw invalid('no port specified');
  if (!['', 'tcp', 'udp', 'sctp'].includes(protocol.toLowerCase()))
    throw invalid(`invalid proto: ${protocol}`);
  if (address !== '' && isIP(address.replace(/^\[(.*)\]$/, '$1')) === 0) {
    throw invalid(`invalid IP address: ${address}`);
  }
  const [first, last] = portRange(range, invalid);
  if (hostPort !== '') {
    const [firstHost, lastHost] = portRange(hostPort, invalid);
    if (last !== first && last - first !== lastHost - firstHost) {
      throw invalid(`the ranges ${range} and ${hostPort} differ in length`);
    }
  }
  const suffix = protocol.toLowerCase() || 'tcp';
  return {
    ports: Array.from({ length: last - first + 1 }, (_, at) => `${first + at}/${suffix}`),
    mapped: address !== '' || hostPort !== '',
    oddCase: protocol !== protocol.toLowerCase(),
  };
}

function portRange(text: string, invalid: (why: string) => KilnError): readonly [number, number] {
  const [first = '', last = first] = text.split(/-(.*)/s);
  const port = (digits: string) => {
    const number = /^\+?\d+$/.test(digits) ? Number(digits) : Number.NaN;
    if (!(number <= 65535)) throw invalid(`${JSON.stringify(digits || text)} is not a port (0–65535)`);
    return number;
  };
  const range = [port(first), port(last)] as const;
  if (range[1] < range[0]) throw invalid('the range ends before it starts');
  return range;
}
