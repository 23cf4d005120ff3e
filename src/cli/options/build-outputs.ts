import { KilnError } from '../../base/errors.ts';
import type { Attributes, Output } from '../../client/solve-request.ts';
import type { BuildFlags } from './build-flags.ts';
import { type OutputContext, parseOutput } from './values/parse-output.ts';

/** The name of an image that has none, while it is loaded. */
export const danglingName = 'kiln.local/loading';

/**
 * The outputs that `--output`, `--tag`, `--push` and `--load` ask for together. None: the result stays in the build cache. With
 * `--load` the last one is an image that the engine keeps.
 */
export function buildOutputs(flags: BuildFlags, context: OutputContext): readonly Output[] {
  const outputs = namedOutputs(flags, context);
  if (!flags.load && flags.loadInto === undefined) return outputs;
  const image = outputs.find(({ exporter }) => exporter === 'image');
  if (image?.attributes.store !== undefined) {
    throw new KilnError('invalid_argument', '--load takes an image that the engine keeps', {
      hint: 'leave store= out of the output',
    });
  }
  const kept: Output = image ?? { kind: 'engine', exporter: 'image', attributes: named(unnamedImage, flags) };
  const attributes = {
    'dangling-name-prefix': danglingName,
    'danging-name-empty-only': 'true',
    ...kept.attributes,
  };
  return [...outputs.filter((output) => output !== image), { ...kept, attributes }];
}

const unnamedImage: Output = { kind: 'engine', exporter: 'image', attributes: {} };

function namedOutputs(flags: BuildFlags, context: OutputContext): readonly Output[] {
  const outputs = flags.output.map((text) => parseOutput(text, context));
  const name = flags.tag.join(',');
  if (outputs.length === 0) {
    if (flags.push && name === '') {
      throw new KilnError('invalid_argument', '--push needs the name to push to', {
        hint: 'give --tag NAME',
      });
    }
    if (name === '') return [];
    const push: Attributes = flags.push ? { push: 'true' } : {};
    return [{ kind: 'engine', exporter: 'image', attributes: { name, ...push } }];
  }
  if (flags.push && !outputs.some((output) => output.exporter === 'image')) {
    throw new KilnError('invalid_argument', '--push pushes an image, but no output is one', {
      hint: 'add --output type=image',
    });
  }
  const stdoutUsers = outputs.filter(
    (output) => output.kind === 'file' && output.destination.kind === 'stdout',
  );
  if (stdoutUsers.length > 1) {
    throw new KilnError('invalid_argument', 'only one output can go to standard output', {
      hint: 'give the others dest=FILE',
    });
  }
  return outputs.map((output) => ({ ...output, attributes: named(output, flags) }));
}

/** Tags name what has names and none of its own. */
function named({ attributes, exporter }: Output, { tag, push }: BuildFlags): Attributes {
  const name = tag.join(',');
  const hasNames = exporter === 'image' || exporter === 'oci' || exporter === 'docker';
  return {
    ...(hasNames && name !== '' ? { name } : {}),
    ...attributes,
    ...(push && exporter === 'image' ? { push: 'true' } : {}),
  };
}
