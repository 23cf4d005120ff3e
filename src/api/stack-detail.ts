import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { create } from '@bufbuild/protobuf';
import { type Any, AnySchema } from '@bufbuild/protobuf/wkt';
import { version } from '../base/version.ts';

/** How many calls are told of. */
const limit = 30;
const typeUrl = 'github.com/moby/buildkit/stack.Stack+json';
const root = `${path.resolve(import.meta.dirname, '../..')}/`;

/** Where an error came from in this program, as BuildKit's clients show it when they are asked for details. Files are named from the project's directory. */
export function stackDetail(error: unknown): Any {
  const lines = error instanceof Error ? (error.stack ?? '').split('\n') : [];
  const frames = lines.flatMap(frameOf).slice(0, limit);
  const stack = { frames, cmdline: ['kilnd'], version };
  return create(AnySchema, { typeUrl, value: Buffer.from(JSON.stringify(stack)) });
}

/** `at NAME (FILE:LINE:COLUMN)`, or without a name and parentheses. */
function frameOf(line: string) {
  const [, name = 'anonymous', place = ''] = /^ {4}at (?:(.*) \()?([^()]+)\)?$/.exec(line) ?? [];
  const [, file, number] = /^(.*):(\d+):\d+$/.exec(place) ?? [];
  if (file === undefined) return [];
  const local = file.startsWith('file://') ? fileURLToPath(file) : file;
  return [
    { Name: name, File: local.startsWith(root) ? local.slice(root.length) : local, Line: Number(number) },
  ];
}
