import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { KilnError } from '../../base/errors.ts';
import type { SignatureQuestion, SignedContent } from './signature-question.ts';

export const sshHeader = '-----BEGIN SSH SIGNATURE-----';
const sshFooter = '-----END SSH SIGNATURE-----';
const magic = Buffer.from('SSHSIG');
const hashes: ReadonlySet<string> = new Set(['sha256', 'sha512']);
const leastRsaBits = 2048;

/** An SSH signature (OpenSSH's PROTOCOL.sshsig). */
interface SshSignature {
  /** The key that made it, in the form of the wire. */
  readonly publicKey: Buffer;
  readonly namespace: Buffer;
  readonly reserved: Buffer;
  readonly hashAlgorithm: string;
  readonly algorithm: string;
  readonly signature: Buffer;
  /** What follows the signature: for keys in a device, its flags and counter. */
  readonly rest: Buffer;
}

/** Throws `failed_precondition` unless one of the keys made the signature, for the purpose that the question has. */
export async function checkSshSignature(question: SignatureQuestion): Promise<void> {
  const { namespace, hashAlgorithm, reserved, publicKey, algorithm, signature, rest } = parseSignature(
    question.signature,
  );
  if (namespace.toString() !== question.sshNamespace) {
    throw refused(`unexpected SSH signature namespace: ${JSON.stringify(namespace.toString())}`);
  }
  if (!trustedKeys(question.keys).some((key) => key.equals(publicKey))) {
    throw refused('it is of none of the keys');
  }
  const hash = createHash(hashAlgorithm);
  await feed(question.content, (chunk) => hash.update(chunk));
  const signed = Buffer.concat([
    magic,
    ...[namespace, reserved, Buffer.from(hashAlgorithm), hash.digest()].map(wireString),
  ]);
  if (!isSignedBy(publicKey, algorithm, signed, signature, rest)) throw refused('it does not match');
}

function parseSignature(armoured: string): SshSignature {
  const start = armoured.indexOf(sshHeader);
  const end = armoured.indexOf(sshFooter);
  if (start < 0 || end < start) throw refused('failed to decode ssh signature PEM block');
  const blob = Buffer.from(armoured.slice(start + sshHeader.length, end), 'base64');
  if (!blob.subarray(0, magic.length).equals(magic)) throw refused('it is no SSH signature');
  const reader = new WireReader(blob.subarray(magic.length));
  const version = reader.number();
  if (version !== 1) throw refused(`unsupported SSH signature version: ${version}`);
  const publicKey = reader.string();
  const namespace = reader.string();
  const reserved = reader.string();
  const hashAlgorithm = reader.string().toString();
  const inner = new WireReader(reader.string());
  if (!hashes.has(hashAlgorithm)) {
    throw refused(`unsupported SSH signature hash algorithm: ${JSON.stringify(hashAlgorithm)}`);
  }
  const algorithm = inner.string().toString();
  const signature = inner.string();
  return { publicKey, namespace, reserved, hashAlgorithm, algorithm, signature, rest: inner.rest };
}

/** The keys of lines of `authorized_keys`, in the form of the wire. Options of a line are not looked at. */
function trustedKeys(text: string): readonly Buffer[] {
  const keys = text.split('\n').flatMap((line) => {
    const [, type = '', base64 = ''] =
      /(?:^|\s)((?:ssh|ecdsa|sk)-[\w@.-]+)\s+([A-Za-z0-9+/]+={0,2})(?:\s|$)/.exec(line.trim()) ?? [];
    if (type === '' || line.trim().startsWith('#')) return [];
    const key = Buffer.from(base64, 'base64');
    return key.length > 4 && new WireReader(key).string().toString() === type ? [key] : [];
  });
  if (keys.length === 0) throw refused('failed to parse ssh public key');
  return keys;
}

function isSignedBy(
  publicKey: Buffer,
  algorithm: string,
  signed: Buffer,
  signature: Buffer,
  rest: Buffer,
): boolean {
  const reader = new WireReader(publicKey);
  const type = reader.string().toString();
  const expects = (...allowed: readonly string[]) => {
    if (!allowed.includes(algorithm)) {
      throw refused(`unsupported algorithm ${JSON.stringify(algorithm)} of a key of type ${type}`);
    }
  };
  const inDevice = () => {
    const application = createHash('sha256').update(reader.string()).digest();
    return Buffer.concat([application, rest, createHash('sha256').update(signed).digest()]);
  };
  try {
    switch (type) {
      case 'ssh-ed25519':
        expects(type);
        return verify(null, signed, ed25519Key(reader), signature);
      case 'sk-ssh-ed25519@openssh.com': {
        expects(type);
        const key = ed25519Key(reader);
        return rest.length === 5 && verify(null, inDevice(), key, signature);
      }
      case 'ssh-rsa': {
        expects('rsa-sha2-256', 'rsa-sha2-512');
        return verify(algorithm.replace('rsa-sha2-', 'sha'), signed, rsaKey(reader), signature);
      }
      case 'ecdsa-sha2-nistp256':
      case 'ecdsa-sha2-nistp384':
      case 'ecdsa-sha2-nistp521': {
        expects(type);
        const { key, size, hash } = curveKey(reader);
        return verify(hash, signed, { key, dsaEncoding: 'ieee-p1363' }, curveSignature(signature, size));
      }
      case 'sk-ecdsa-sha2-nistp256@openssh.com': {
        expects(type);
        const { key, size, hash } = curveKey(reader);
        const fixed = curveSignature(signature, size);
        return rest.length === 5 && verify(hash, inDevice(), { key, dsaEncoding: 'ieee-p1363' }, fixed);
      }
      default:
        throw refused(`unsupported type of key ${JSON.stringify(type)}`);
    }
  } catch (error) {
    throw error instanceof KilnError ? error : refused((error as Error).message, error);
  }
}

function ed25519Key(reader: WireReader): KeyObject {
  return jwk({ kty: 'OKP', crv: 'Ed25519', x: reader.string().toString('base64url') });
}

function rsaKey(reader: WireReader): KeyObject {
  const exponent = reader.integer();
  const modulus = reader.integer();
  const key = jwk({ kty: 'RSA', n: modulus.toString('base64url'), e: exponent.toString('base64url') });
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (bits < leastRsaBits) throw refused(`RSA key too short: ${bits} bits`);
  return key;
}

const curves: ReadonlyMap<string, { readonly crv: string; readonly size: number; readonly hash: string }> =
  new Map([
    ['nistp256', { crv: 'P-256', size: 32, hash: 'sha256' }],
    ['nistp384', { crv: 'P-384', size: 48, hash: 'sha384' }],
    ['nistp521', { crv: 'P-521', size: 66, hash: 'sha512' }],
  ]);

function curveKey(reader: WireReader) {
  const curve = curves.get(reader.string().toString());
  const point = reader.string();
  if (!curve || point.length !== 1 + 2 * curve.size || point[0] !== 4) throw refused('it has an invalid key');
  const { crv, size, hash } = curve;
  const part = (index: number) =>
    point.subarray(1 + index * size, 1 + (index + 1) * size).toString('base64url');
  return { key: jwk({ kty: 'EC', crv, x: part(0), y: part(1) }), size, hash };
}

/** Two integers as two numbers of a fixed size. */
function curveSignature(signature: Buffer, size: number): Buffer {
  const reader = new WireReader(signature);
  const fixed = [reader.integer(), reader.integer()].map((each) => {
    if (each.length > size) throw refused('it has an invalid signature');
    return Buffer.concat([Buffer.alloc(size - each.length), each]);
  });
  return Buffer.concat(fixed);
}

function jwk(key: Readonly<Record<string, string>>): KeyObject {
  return createPublicKey({ key, format: 'jwk' });
}

async function feed(content: SignedContent, take: (chunk: Uint8Array) => void): Promise<void> {
  if ('bytes' in content) {
    take(content.bytes);
    return;
  }
  await pipeline(createReadStream(content.file), async (chunks: AsyncIterable<Uint8Array>) => {
    for await (const chunk of chunks) take(chunk);
  });
}

function wireString(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** SSH's binary form (RFC 4251). Throws `failed_precondition` where it ends too early. */
class WireReader {
  #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get rest(): Buffer {
    return this.#bytes;
  }

  number(): number {
    return this.#take(4).readUInt32BE();
  }

  string(): Buffer {
    return this.#take(this.number());
  }

  /** A positive integer without leading zeros. */
  integer(): Buffer {
    const bytes = this.string();
    const first = bytes.findIndex((byte) => byte !== 0);
    return first < 0 ? Buffer.alloc(0) : bytes.subarray(first);
  }

  #take(length: number): Buffer {
    if (length > this.#bytes.length) throw refused('it ends too early');
    const taken = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return taken;
  }
}

function refused(why: string, cause?: unknown): KilnError {
  return new KilnError('failed_precondition', `failed to verify ssh signature: ${why}`, { cause });
}
