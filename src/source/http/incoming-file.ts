import { pullUpload } from '../../session/requests/pull-upload.ts';
import type { SessionManager } from '../../session/session.ts';
import type { SourceContext } from '../source.ts';

/** A file on its way, and what its sender says about it. The transfer ends when the signal of the request aborts. */
export interface IncomingFile {
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Whether the bytes are gzip of the file. */
  readonly compressed: boolean;
  /** In bytes; undefined when it is not known. */
  readonly size: number | undefined;
  /** The header `Content-Disposition`. */
  readonly disposition: string | undefined;
  /** The header `Last-Modified`. */
  readonly lastModified: string | undefined;
  /** Without the mark of a weak one; empty when there is none. */
  readonly etag: string;
}

/** A file that the client uploads through its session. */
export function incomingUpload(
  url: URL,
  sessions: Pick<SessionManager, 'any'>,
  context: SourceContext,
): IncomingFile {
  const unknown = { size: undefined, disposition: undefined, lastModified: undefined, etag: '' };
  return { bytes: uploadBytes(url, sessions, context), compressed: false, ...unknown };
}

async function* uploadBytes(
  url: URL,
  sessions: Pick<SessionManager, 'any'>,
  context: SourceContext,
): AsyncGenerator<Uint8Array> {
  const { signal } = context;
  const { first, rest } = await sessions.any(
    context.sessions(),
    async (session) => {
      const bytes = pullUpload(session, url, signal);
      // A client that does not have it says so before anything comes.
      return { first: await bytes.next(), rest: bytes };
    },
    signal,
  );
  if (!first.done) yield first.value;
  yield* rest;
}
