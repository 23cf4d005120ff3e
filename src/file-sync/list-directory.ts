import { posix } from 'node:path';
import { KilnError } from '../base/errors.ts';
import { fromByteString } from '../base/text/byte-string.ts';
import type { Session, SyncRequest } from '../session/session.ts';
import { decodePacket, PacketEncoder } from './protocol/packet.ts';
import { openSync } from './sync-directory.ts';

/** More names than anybody chooses from. */
const limit = 10_000;

/**
 * The names in one directory of what a client would send, without anything that the request excludes: the client sends stats and
 * is asked for no data. Empty when there is no such directory. Throws `resource_exhausted` when there are very many.
 */
export async function listDirectory(
  session: Session,
  request: SyncRequest,
  directory: string,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const below = directory === '' ? '' : `${directory.replace(/[*?[\]\\!]/g, '\\$&')}/`;
  const wanted = {
    ...request,
    followPaths: [],
    includePatterns: [`${below}*`],
    excludePatterns: [...request.excludePatterns, `${below}*/*`],
  };
  const encoder = new PacketEncoder();
  const names: string[] = [];
  await using stream = await openSync(session, wanted, signal);
  for await (const message of stream) {
    const packet = decodePacket(Buffer.from(message));
    if (packet.kind === 'error') throw new KilnError('aborted', `the client failed: ${packet.message}`);
    if (packet.kind !== 'stat') continue;
    if (!packet.stat) {
      await stream.send(encoder.encode({ kind: 'fin' }));
      continue;
    }
    const path = fromByteString(packet.stat.path);
    const parent = posix.dirname(path);
    if ((parent === '.' ? '' : parent) === directory) names.push(posix.basename(path));
    if (names.length > limit) {
      throw new KilnError('resource_exhausted', `${directory} has more than ${limit} entries`);
    }
  }
  return names;
}
