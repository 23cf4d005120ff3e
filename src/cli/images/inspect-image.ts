import { timestampDate } from '@bufbuild/protobuf/wkt';
import { createClient } from '@connectrpc/connect';
import { type Image, type ImagePlatform, Images } from '../../api/gen/kiln_images_pb.js';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { parseFormat } from '../options/values/parse-format.ts';
import { formatBytes } from '../progress/format-bytes.ts';
import { formatTable } from '../table.ts';
import { configJson, imageJson } from './image-json.ts';

/** `kiln inspect`. */
export async function inspectImage(
  name: string,
  flags: { readonly format?: string },
  context: CommandContext,
): Promise<void> {
  const { stdout, signal } = context;
  const format = parseFormat(flags.format);
  await using connection = await connect(context);
  const image = await createClient(Images, connection.transport).inspect({ name }, { signal });
  stdout.write(format === 'json' ? `${JSON.stringify(imageJson(image), undefined, 2)}\n` : imageText(image));
}

function imageText(image: Image): string {
  const head = formatTable([
    ['Name:', image.name],
    ['Digest:', image.target?.digest ?? ''],
    ['Media type:', image.target?.mediaType ?? ''],
    ['Created:', image.createdAt ? timestampDate(image.createdAt).toISOString() : ''],
    ['Size:', formatBytes(Number(image.size))],
    ['Pushed:', image.pushed ? 'yes' : 'no'],
  ]);
  return [head, ...image.platforms.map(platformText)].join('\n');
}

function platformText(image: ImagePlatform): string {
  const config = recordOf(recordOf(configJson(image)).config);
  const rows = [
    ['Platform:', image.platform],
    ['Manifest:', image.manifest?.digest ?? ''],
    ['Config:', image.config?.digest ?? ''],
    ['Size:', formatBytes(Number(image.size))],
    ...list('Entrypoint:', config.Entrypoint ? [JSON.stringify(config.Entrypoint)] : []),
    ...list('Command:', config.Cmd ? [JSON.stringify(config.Cmd)] : []),
    ...list('User:', config.User ? [String(config.User)] : []),
    ...list('Directory:', config.WorkingDir ? [String(config.WorkingDir)] : []),
    ...list('Environment:', Array.isArray(config.Env) ? config.Env.map(String) : []),
    ...list('Ports:', Object.keys(recordOf(config.ExposedPorts))),
    ...list(
      'Labels:',
      Object.entries(recordOf(config.Labels)).map(([key, value]) => `${key}=${value}`),
    ),
    ...list(
      'Layers:',
      image.layers.map(({ digest, size }) => `${digest}  ${formatBytes(Number(size))}`),
    ),
    ...list(
      'Attestations:',
      image.attestations.map(({ digest, predicateType }) => `${digest}  ${predicateType}`),
    ),
  ];
  return formatTable(rows);
}

/** What is no object has no fields: the engine has found the config to be JSON, and its fields are of whatever type. */
function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function list(title: string, values: readonly string[]): readonly (readonly string[])[] {
  return values.map((value, index) => [index === 0 ? title : '', value]);
}
