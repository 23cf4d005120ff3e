import { KilnError } from '../base/errors.ts';
import type { ThreadPool } from '../base/threads/thread-pool.ts';
import type { LayerBytes, LazyLayer } from './layer-chunks.ts';
import type { PrepareLayerInput } from './prepare-layer.task.ts';

/** The last bytes of the blob, in which the table of contents mostly is. */
const tailSize = 64 * 1024;
const footerSize = 51;
/** Larger tables of contents are not read. */
const maxTocMember = 16 * 1024 * 1024;

/**
 * Makes what is needed of a layer to mount it, in a directory that does not exist. Throws when the table of contents cannot be read
 * (`unavailable`, ...) or served (`failed_precondition`, `invalid_argument`, `data_loss`); the directory may be there then.
 */
export async function prepareLayer(
  { size, tocDigest }: LazyLayer,
  source: Pick<LayerBytes, 'read'>,
  target: Pick<PrepareLayerInput, 'directory' | 'form' | 'below'>,
  pool: ThreadPool,
  signal: AbortSignal,
): Promise<void> {
  const tailAt = Math.max(size - tailSize, 0);
  const tail = Buffer.from(await source.read({ offset: tailAt, length: size - tailAt }, signal));
  const memberOffset = tocOffset(tail, size);
  const end = size - footerSize;
  if (end - memberOffset > maxTocMember) {
    throw new KilnError('failed_precondition', `its table of contents has ${end - memberOffset} bytes`);
  }
  const missing = tailAt - memberOffset;
  const head =
    missing > 0 ? await source.read({ offset: memberOffset, length: missing }, signal) : new Uint8Array();
  const member = Buffer.concat([head, tail.subarray(Math.max(memberOffset - tailAt, 0), end - tailAt)]);
  const input = { ...target, member, memberOffset, tocDigest };
  await pool.run<PrepareLayerInput, void>(new URL('./prepare-layer.task.ts', import.meta.url), input, {
    signal,
  });
}

/** Where the member with the table of contents begins, as the footer says (stargz-snapshotter, docs/estargz.md). */
function tocOffset(tail: Buffer, size: number): number {
  const footer = tail.toString('latin1', Math.max(tail.length - footerSize, 0));
  const [, hex] = /^\x1f\x8b.{10}SG\x16\0([0-9a-f]{16})STARGZ/s.exec(footer) ?? [];
  const offset = Number.parseInt(hex ?? '', 16);
  if (offset >= 0 && offset < size - footerSize) return offset;
  throw new KilnError('failed_precondition', 'the layer does not end like an eStargz');
}
