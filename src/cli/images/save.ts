import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createClient } from '@connectrpc/connect';
import { Images, type SaveImagesResponse } from '../../api/gen/kiln_images_pb.js';
import { KilnError } from '../../base/errors.ts';
import { openFileOutput } from '../../client/file-output.ts';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';

export interface SaveFlags {
  readonly output?: string;
  readonly format: string;
  readonly platform?: string;
}

/** `kiln save`. */
export async function saveImages(
  names: readonly string[],
  flags: SaveFlags,
  context: CommandContext,
): Promise<void> {
  const { stdout, signal } = context;
  const path = flags.output === '-' ? undefined : flags.output;
  if (path === undefined && stdout.isTTY) {
    throw new KilnError('invalid_argument', 'an archive is not written to a terminal', {
      hint: 'name a file with --output FILE, or redirect standard output',
    });
  }
  await using file = await openFileOutput(path === undefined ? { kind: 'stdout' } : { kind: 'path', path });
  await using connection = await connect(context);
  const { format, platform = '' } = flags;
  const images = createClient(Images, connection.transport);
  const archive = images.save({ names: [...names], format, platform }, { signal });
  // Nothing is written before the engine has found all of the images.
  const chunks = chunksOf(archive)[Symbol.asyncIterator]();
  const first = await chunks.next();
  try {
    await pipeline(Readable.from(following(first, chunks)), await file.open(), { signal });
  } catch (error) {
    throw file.failure ?? error;
  }
  await file.commit();
}

async function* chunksOf(archive: AsyncIterable<SaveImagesResponse>): AsyncGenerator<Uint8Array> {
  for await (const { data } of archive) yield data;
}

async function* following(
  first: IteratorResult<Uint8Array, void>,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for (let next = first; !next.done; next = await rest.next()) yield next.value;
}
