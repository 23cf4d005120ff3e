import { KilnError } from '../../base/errors.ts';

/** Room for the network's own address, the bridge's, one more and that for all. */
const longestPrefix = 30;
/** Nobody has more addresses for one purpose (10.0.0.0/8). */
const shortestPrefix = 8;

/** A range of IPv4 addresses, as numbers. The first is the network's own, the second the bridge's, the last is for all of them. */
export class Ipv4Subnet {
  readonly base: number;
  readonly prefix: number;

  constructor(base: number, prefix: number) {
    this.prefix = prefix;
    this.base = (base & maskOf(prefix)) >>> 0;
  }

  /** Reads `a.b.c.d/prefix`. Throws `invalid_argument`; `where` says what was read. */
  static parse(text: string, where: string): Ipv4Subnet {
    const [, address = '', length = ''] = /^(\d{1,3}(?:\.\d{1,3}){3})\/(\d{1,2})$/.exec(text) ?? [];
    const octets = address.split('.').map(Number);
    const prefix = Number(length);
    if (address === '' || octets.some((octet) => octet > 255)) {
      throw new KilnError('invalid_argument', `${where}: ${JSON.stringify(text)} is not an IPv4 subnet`, {
        hint: 'give one like 10.10.0.0/16',
      });
    }
    if (prefix < shortestPrefix || prefix > longestPrefix) {
      throw new KilnError(
        'invalid_argument',
        `${where}: ${text} has a prefix that is not between ${shortestPrefix} and ${longestPrefix}`,
        { hint: 'give one like 10.10.0.0/16' },
      );
    }
    return new Ipv4Subnet(toNumber(Buffer.from(octets)), prefix);
  }

  get gateway(): number {
    return this.base + 1;
  }

  /** How many addresses are left for others than the bridge. */
  get size(): number {
    return 2 ** (32 - this.prefix) - 3;
  }

  /** The address of number `index`, from 0 to `size - 1`. */
  at(index: number): number {
    return this.base + 2 + index;
  }

  overlaps(other: Ipv4Subnet): boolean {
    const mask = maskOf(Math.min(this.prefix, other.prefix));
    return (this.base & mask) === (other.base & mask);
  }

  toString(): string {
    return `${addressText(this.base)}/${this.prefix}`;
  }
}

/** The four bytes of an address, as the network has them. */
export function addressBytes(address: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(address);
  return bytes;
}

export function toNumber(address: Buffer): number {
  return address.readUInt32BE(0);
}

export function addressText(address: number): string {
  return [...addressBytes(address)].join('.');
}

function maskOf(prefix: number): number {
  return prefix === 0 ? 0 : (-1 << (32 - prefix)) >>> 0;
}
