import { createClient } from '@connectrpc/connect';
import { Images } from '../../api/gen/kiln_images_pb.js';
import { asKilnError, type KilnError } from '../../base/errors.ts';
import { familiarReference, parseReference } from '../../oci/reference.ts';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { formatError } from '../format-error.ts';
import { formatBytes } from '../progress/format-bytes.ts';

/** `kiln rmi`: removes each image that it can, and fails with the last error there was. */
export async function removeImages(names: readonly string[], context: CommandContext): Promise<void> {
  const { stdout, stderr, signal } = context;
  await using connection = await connect(context);
  const images = createClient(Images, connection.transport);
  let failure: KilnError | undefined;
  for (const name of names) {
    try {
      const removed = await images.remove({ name }, { signal });
      const freed = removed.freedBytes > 0n ? `, ${formatBytes(Number(removed.freedBytes))} freed` : '';
      stdout.write(`removed ${familiarReference(parseReference(removed.name))}${freed}\n`);
    } catch (error) {
      if (signal.aborted) throw error;
      if (failure) stderr.write(formatError(failure, { debug: context.debug }));
      failure = asKilnError(error);
    }
  }
  if (failure) throw failure;
}
