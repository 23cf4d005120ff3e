import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import type { Key, SignaturePacket } from 'openpgp';
import { KilnError } from '../../base/errors.ts';
import type { SignatureQuestion, SignedContent } from './signature-question.ts';

export const openPgpHeader = '-----BEGIN PGP SIGNATURE-----';

/** How far the clock of a signer may be ahead, in milliseconds. */
const clockTolerance = 5 * 60_000;

type OpenPgp = typeof import('openpgp');

/**
 * Throws `failed_precondition` unless one of the keys made the signature, by a hash and an algorithm that count as strong, when the key was valid; it must not have been
 * revoked since. The library is large, so it is loaded by the first question.
 */
export async function checkOpenPgpSignature(question: SignatureQuestion): Promise<void> {
  const openpgp = await import('openpgp');
  const signature = await parsed('armored signature', () =>
    openpgp.readSignature({ armoredSignature: question.signature }),
  );
  const keys = await readKeys(openpgp, question.keys);
  const [packet] = signature.packets as unknown as readonly SignaturePacket[];
  if (!packet) throw refused('no signature packet found');
  checkKind(openpgp, packet);
  const { created } = packet;
  const now = new Date();
  if (!created || created.getTime() > now.getTime() + clockTolerance) {
    throw refused(`signature creation time is in the future: ${created?.toISOString() ?? 'unknown'}`);
  }
  const { signatures, data } = await openpgp.verify({
    message: await openpgp.createMessage({ binary: streamOf(question.content), format: 'binary' }),
    signature: new openpgp.Signature(packetList(openpgp, packet)),
    verificationKeys: [...keys],
    date: question.rejectExpiredKeys ? now : created,
    format: 'binary',
  });
  // The hash is known once everything was read. The library's streams cannot be iterated over.
  const reader = (data as unknown as ReadableStream<Uint8Array>).getReader();
  while (!(await reader.read()).done);
  const [result] = signatures;
  if (!result) throw refused('it has no signature');
  const signer = `signature by ${result.keyID.toHex().toUpperCase()}`;
  try {
    await result.verified;
  } catch (error) {
    throw refused(`${signer}: ${(error as Error).message}`, error);
  }
  // One key may be there several times, and its revocation in one of them only.
  const made = keys.filter((each) => each.getKeys(result.keyID).length > 0);
  if (made.length === 0) throw refused(`${signer}: it is of none of the keys`);
  for (const key of made) {
    if (await key.isRevoked(undefined, undefined, now)) throw refused(`${signer}: key revoked`);
  }
  if (!question.rejectExpiredKeys) return;
  await Promise.any(made.map((key) => key.getSigningKey(result.keyID, now))).catch(({ errors }) => {
    throw refused(`${signer}: ${(errors[0] as Error).message}`, errors[0]);
  });
}

/** The keys of one or more armoured blocks, one after the other. */
async function readKeys(openpgp: OpenPgp, text: string): Promise<readonly Key[]> {
  const blocks = text
    .split(/(?=-----BEGIN PGP (?:PUBLIC|PRIVATE) KEY BLOCK-----)/)
    .filter((part) => part.includes('-----BEGIN PGP'));
  if (blocks.length === 0) throw refused('failed to read armored public key: no armored data found');
  const read = await Promise.all(
    blocks.map((armoredKeys) => parsed('armored public key', () => openpgp.readKeys({ armoredKeys }))),
  );
  return read.flat();
}

function checkKind({ enums }: OpenPgp, packet: SignaturePacket): void {
  const { signatureType, hashAlgorithm, publicKeyAlgorithm } = packet;
  const { binary, text } = enums.signature;
  if (signatureType !== binary && signatureType !== text) {
    throw refused(`rejecting signature of type ${signatureType}: it is not made over a document`);
  }
  const { sha256, sha384, sha512 } = enums.hash;
  if (![sha256, sha384, sha512].some((each) => each === hashAlgorithm)) {
    throw refused(`rejecting weak/unknown hash: ${hashAlgorithm}`);
  }
  const { rsaEncryptSign, rsaSign, ecdsa, eddsaLegacy, ed25519, ed448 } = enums.publicKey;
  const known: readonly unknown[] = [rsaEncryptSign, rsaSign, ecdsa, eddsaLegacy, ed25519, ed448];
  if (!known.includes(publicKeyAlgorithm)) {
    throw refused(`rejecting unsupported pubkey algorithm: ${publicKeyAlgorithm}`);
  }
}

function packetList({ PacketList }: OpenPgp, packet: SignaturePacket) {
  const list = new PacketList<SignaturePacket>();
  list.push(packet);
  return list;
}

function streamOf(content: SignedContent): ReadableStream<Uint8Array> {
  const source = 'file' in content ? createReadStream(content.file) : Readable.from([content.bytes]);
  return Readable.toWeb(source) as ReadableStream<Uint8Array>;
}

async function parsed<T>(what: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw refused(`failed to decode ${what}: ${(error as Error).message}`, error);
  }
}

function refused(why: string, cause?: unknown): KilnError {
  return new KilnError('failed_precondition', `failed to verify pgp signature: ${why}`, { cause });
}
