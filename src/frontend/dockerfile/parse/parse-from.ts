import { flagTables } from './flags.ts';
import { blankWords, descriptionsIn, flagsOf, type Parts } from './instruction-parts.ts';
import type { FromInstruction } from './instruction-tree.ts';

export function parseFrom(parts: Parts): FromInstruction {
  const words = blankWords(parts);
  const [image, as, name] = words;
  const named = words.length === 3 && as!.text.toLowerCase() === 'as';
  if (!image || (words.length !== 1 && !named)) {
    throw parts.fail('FROM requires either one or three arguments', undefined, 'write FROM image [AS name]');
  }
  const lower = name?.text.toLowerCase();
  if (lower !== undefined && !/^[a-z][a-z0-9-_.]*$/.test(lower)) {
    throw parts.fail(
      `invalid name for build stage: ${JSON.stringify(name!.text)}, name can't start with a number or contain symbols`,
      name,
    );
  }
  const description = lower === undefined ? undefined : descriptionsIn(parts.head.comments).get(lower);
  return {
    ...parts.head,
    kind: 'from',
    flags: flagsOf(parts, flagTables.from),
    image: image.text,
    ...(lower !== undefined && {
      name: lower,
      as: { keyword: as!.text, name: name!.text },
      ...(description !== undefined && { description }),
    }),
  };
}
