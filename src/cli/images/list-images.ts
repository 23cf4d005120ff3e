import { timestampDate } from '@bufbuild/protobuf/wkt';
import { createClient } from '@connectrpc/connect';
import { type Image, Images } from '../../api/gen/kiln_images_pb.js';
import { familiarReference, parseReference } from '../../oci/reference.ts';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { parseFormat } from '../options/values/parse-format.ts';
import { formatBytes } from '../progress/format-bytes.ts';
import { formatTable } from '../table.ts';
import { imageJson } from './image-json.ts';

/** `kiln images`. */
export async function listImages(
  flags: { readonly format?: string },
  context: CommandContext,
): Promise<void> {
  const { stdout, signal } = context;
  const format = parseFormat(flags.format);
  await using connection = await connect(context);
  const { images } = await createClient(Images, connection.transport).list({}, { signal });
  if (format === 'json') stdout.write(`${JSON.stringify(images.map(imageJson))}\n`);
  else stdout.write(formatTable([header, ...images.map(row)]));
}

const header = ['NAME', 'DIGEST', 'PLATFORMS', 'CREATED', 'SIZE', 'PUSHED'];

function row({ name, target, platforms, createdAt, size, pushed }: Image): readonly string[] {
  return [
    familiarReference(parseReference(name)),
    (target?.digest ?? '').slice(0, 'sha256:'.length + 12),
    platforms.map(({ platform }) => platform).join(','),
    createdAt ? `${timestampDate(createdAt).toISOString().slice(0, 19)}Z` : '',
    formatBytes(Number(size)),
    pushed ? 'yes' : 'no',
  ];
}
