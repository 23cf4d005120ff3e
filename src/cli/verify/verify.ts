import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { CommanderError } from 'commander';
import { digestOf } from '../../base/digest.ts';
import { asKilnError, errnoOf, KilnError } from '../../base/errors.ts';
import { parsePlatforms } from '../../base/platform.ts';
import { solve } from '../../client/solve.ts';
import { emptySolve, type SolveRequest } from '../../client/solve-request.ts';
import { compareDefinition, type ExpectedDefinition } from '../../provenance/compare-definition.ts';
import { readRecordedBuild, statementDigests } from '../../provenance/recorded-build.ts';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import type { BuildFlags } from '../options/build-flags.ts';
import { prepareRequest } from '../options/prepare-request.ts';
import { printable } from '../printable.ts';
import { askProvenance, type ImageProvenance, imagePlace } from './image-provenance.ts';

/** Flags of `kiln build` that `kiln verify` does not have. */
const unsetFlags = {
  output: [],
  exportCache: [],
  importCache: [],
  secret: [],
  ssh: [],
  allow: [],
  tag: [],
  attest: [],
  progress: 'quiet',
  call: 'build',
} satisfies Partial<BuildFlags>;

/** `kiln verify`. Ends with status 1 when the provenance of an image names something else, or does not tell. */
export async function verify(
  image: string,
  contextPath: string | undefined,
  flags: BuildFlags,
  context: CommandContext,
): Promise<void> {
  const { stdin, stdout, environment, signal } = context;
  const place = await imagePlace(image);
  const given = { environment, stdin, stdoutIsTerminal: false };
  await using prepared = await prepareRequest({ ...unsetFlags, ...flags }, contextPath, given);
  if (prepared.buildFile !== undefined) {
    throw new KilnError(
      'unimplemented',
      `what ${prepared.buildFile} makes cannot be compared with provenance`,
      {
        hint: 'name a Dockerfile, or give LLB on standard input',
      },
    );
  }
  const expected = await expectedDefinition(prepared.request);
  const platforms = flags.platform.flatMap((list) => parsePlatforms(list));
  await using connection = await connect(context, { silent: true });

  let failed = false;
  for (const platform of platforms.length > 0 ? platforms : [undefined]) {
    const found: ImageProvenance[] = [];
    const ask = askProvenance(place, platform, (provenance) => found.push(provenance));
    const { layouts } = place;
    const { registryTls } = prepared.request;
    const asked = solve(
      connection,
      { ...emptySolve, layouts, registryTls, source: { kind: 'question', ask } },
      signal,
    );
    await asked.result.catch((error) => {
      throw asKilnError(error).wrap(`cannot read the provenance of ${image}`);
    });
    for (const provenance of found) {
      const { text, matches } = report(image, provenance, expected);
      stdout.write(text);
      failed ||= !matches;
    }
  }
  if (failed)
    throw new CommanderError(1, 'kiln.verify', `the provenance of ${image} does not name this definition`);
}

async function expectedDefinition({ source, locals }: SolveRequest): Promise<ExpectedDefinition> {
  switch (source.kind) {
    case 'question':
    case 'driven':
      throw new KilnError('internal', `nothing is known of what a ${source.kind} build makes`);
    case 'definition':
      return { kind: 'definition', steps: new Set(source.definition.ops.map((op) => digestOf(op))) };
    case 'frontend': {
      const { frontend, options } = source;
      const name = options.filename ?? 'Dockerfile';
      const directory = locals.get('dockerfile');
      const text = directory === undefined ? undefined : await readIfThere(path.join(directory, name));
      return {
        kind: 'frontend',
        frontend,
        options,
        locals: [...locals.keys()],
        dockerfile: text && { name, text },
      };
    }
  }
}

async function readIfThere(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw asKilnError(error).wrap(`cannot read ${file}`);
  }
}

function report(
  image: string,
  { manifest, statement }: ImageProvenance,
  expected: ExpectedDefinition,
): { readonly text: string; readonly matches: boolean } {
  const what = `the provenance of ${image}`;
  if (!statement) return { text: `${image} ${manifest} has no provenance\n`, matches: false };
  const { differences, unknown, masked } = compareDefinition(expected, readRecordedBuild(statement, what));
  const about = statementDigests(statement, what);
  const isAboutImage = about.length === 0 || about.some((digest) => manifest === `sha256:${digest}`);
  const all = isAboutImage ? differences : ['it is about another image', ...differences];
  const matches = all.length === 0 && unknown.length === 0;
  const verdict = matches ? 'was' : all.length > 0 ? 'was not' : 'may have been';
  const lines = [
    `${image} ${manifest} ${verdict} built from this definition`,
    ...all.map((difference) => `  differs: ${difference}`),
    ...unknown.map((part) => `  not told: ${part}`),
    ...masked.map((part) => `  masked there, and so not compared: ${part}`),
  ];
  // Names of arguments are the image's.
  return { text: lines.map((line) => `${printable(line)}\n`).join(''), matches };
}
