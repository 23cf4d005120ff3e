import { FileSync } from '../api/gen/session_filesync_pb.js';
import type { MessageStream } from '../api/message-stream.ts';
import { methodPath } from '../api/unary-call.ts';
import { KilnError } from '../base/errors.ts';
import type { Session, SyncRequest } from '../session/session.ts';
import { encodeMetadata } from './protocol/metadata-encoding.ts';
import { type ReceiveOptions, type ReceiveTarget, receiveTree } from './receive/receive.ts';
import type { ReceiveResult } from './receive/received-tree.ts';

/** Keys of the metadata that say what is wanted. */
export const syncHeaders = {
  name: 'dir-name',
  include: 'include-patterns',
  exclude: 'exclude-patterns',
  follow: 'followpaths',
  /** Senders that do not know it pass it over. */
  changeStamps: 'kiln-change-stamps',
} as const;

/** Brings one of a client's directories here. Throws `failed_precondition` when the client offers none at all. */
export async function syncDirectory(
  session: Session,
  request: SyncRequest,
  target: ReceiveTarget,
  options: Omit<ReceiveOptions, 'metadataOnly'>,
): Promise<ReceiveResult> {
  await using stream = await openSync(session, request, options.signal);
  return await receiveTree(stream, target, { ...options, metadataOnly: request.metadataOnly });
}

/** The call in which a client sends a directory. Throws `failed_precondition` when it offers none at all. */
export async function openSync(
  session: Session,
  request: SyncRequest,
  signal?: AbortSignal,
): Promise<MessageStream> {
  const method = methodPath(FileSync.method.diffCopy);
  if (!session.supports(method)) {
    throw new KilnError('failed_precondition', 'the client offers no local directories', {
      hint: `name a directory for it with --local ${request.name}=DIRECTORY`,
    });
  }
  const metadata = encodeMetadata({
    [syncHeaders.name]: [request.name],
    [syncHeaders.include]: request.includePatterns,
    [syncHeaders.exclude]: request.excludePatterns,
    [syncHeaders.follow]: request.followPaths,
    [syncHeaders.changeStamps]: ['true'],
  });
  return session.open(method, metadata, signal);
}
