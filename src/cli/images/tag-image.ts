import { createClient } from '@connectrpc/connect';
import { Images } from '../../api/gen/kiln_images_pb.js';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';

/** `kiln tag`. */
export async function tagImage(name: string, newName: string, context: CommandContext): Promise<void> {
  await using connection = await connect(context);
  await createClient(Images, connection.transport).tag({ name, newName }, { signal: context.signal });
}
