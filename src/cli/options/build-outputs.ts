import { KilnError } from '../../base/errors.ts';
import type { Attributes, Output } from '../../client/solve-request.ts';
import type { BuildFlags } from './build-flags.ts';
import { type OutputContext, parseOutput } from './values/parse-output.ts';

/** The outputs that `--output`, `--tag` and `--push` ask for together. None: the result stays in the build cache. */
export function buildOutputs(flags: BuildFlags, context: OutputContext): readonly Output[] {
  if (flags.load) {
    throw new KilnError('unimplemented', '--load is not supported: Kiln keeps its own images', {
      hint: 'pipe the image into Docker: kiln build -o type=docker … | docker load',
    });
  }
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
  return outputs.map((output) => ({ ...output, attributes: named(output, name, flags.push ?? false) }));
}

/** Tags name what has names and none of its own. */
function named(output: Output, name: string, push: boolean): Attributes {
  const { attributes, exporter } = output;
  const hasNames = exporter === 'image' || exporter === 'oci' || exporter === 'docker';
  return {
    ...(hasNames && name !== '' ? { name } : {}),
    ...attributes,
    ...(push && exporter === 'image' ? { push: 'true' } : {}),
  };
}
