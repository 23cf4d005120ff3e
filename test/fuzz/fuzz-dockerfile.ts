import assert from 'node:assert/strict';
import { KilnError } from '../../src/base/errors.ts';
import { Random } from '../../src/base/testing/random.ts';
import { runFrontend } from '../../src/frontend/dockerfile/bridge-rig.ts';
import { readCaseFiles } from '../conformance/case-files.ts';
import { mutateDockerfile } from './mutate-dockerfile.ts';

/** Milliseconds of processor time: hundreds of times what a Dockerfile of this size takes. */
const timeLimit = 1_000;

const corpus: readonly string[] = [
  ...readCaseFiles().flatMap(({ cases }) =>
    cases.flatMap(({ trees }) =>
      [...trees.values()].flat().flatMap((entry) => {
        const isDockerfile = entry.kind === 'file' && /dockerfile$/i.test(entry.path);
        return isDockerfile ? [Buffer.from(entry.content).toString()] : [];
      }),
    ),
  ),
  largeDockerfile(),
];

const images: readonly object[] = [
  { os: 'linux', architecture: 'amd64', rootfs: { diff_ids: [`sha256:${'1'.repeat(64)}`] } },
  {
    os: 'linux',
    architecture: 'arm64',
    config: {
      Env: ['PATH=/bin', 'EMPTY', '=odd'],
      WorkingDir: 'relative',
      User: 'u:g',
      OnBuild: ['RUN echo $A', 'COPY --from=other /a /b'],
    },
    rootfs: {},
  },
  {
    os: 'windows',
    architecture: 'amd64',
    'os.version': '10.0.1',
    config: { WorkingDir: 'C:\\w', Shell: ['x'] },
  },
  {},
];

const requests: readonly Readonly<Record<string, string>>[] = [
  {},
  {},
  { platform: 'windows/amd64' },
  { platform: 'linux/arm64,linux/arm/v7' },
  { 'build-arg:A': '/usr/local/bin', 'build-arg:SOURCE_DATE_EPOCH': '1' },
  { requestid: 'frontend.lint' },
  { requestid: 'frontend.outline' },
  { requestid: 'frontend.targets' },
];

/**
 * Converts a mutated Dockerfile, the one that the seed stands for. Throws when that crashes, takes too long, or fails with an error
 * that does not say where in the file the reason is.
 */
export async function fuzzDockerfile(seed: number): Promise<void> {
  const random = new Random(seed);
  const data = mutateDockerfile(corpus, random);
  const began = process.threadCpuUsage();
  const failure = await failureOf(() =>
    runFrontend({
      dockerfile: data,
      anyImage: random.pick(images),
      options: random.pick(requests),
      files: { context: random.chance(0.3) ? { '.dockerignore': '*\n!a\n' } : {} },
    }),
  );
  const { user, system } = process.threadCpuUsage(began);
  const took = (user + system) / 1000;
  if (failure !== undefined) checkFailure(failure, data);
  assert.ok(took < timeLimit, `it took ${took} ms:\n${Buffer.from(data)}`);
}

async function failureOf(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error;
  }
}

function checkFailure(failure: unknown, data: Uint8Array): void {
  const text = Buffer.from(data).toString();
  if (!(failure instanceof KilnError)) {
    throw new Error(`it crashed:\n${text}`, { cause: failure });
  }
  assert.notEqual(failure.code, 'internal', `${failure.message}:\n${text}`);
  assert.notEqual(failure.code, 'unknown', `${failure.message}:\n${text}`);
  // The rig has no other frontends.
  if (failure.code === 'unimplemented') return;
  const place = failure.details.find((detail) => detail.kind === 'source');
  assert.ok(place && place.ranges.length > 0, `no place in ${JSON.stringify(failure.message)}:\n${text}`);
  const lines = Math.max(text.split('\n').length, 1);
  for (const { start, end } of place.ranges) {
    const isInside = start.line >= 1 && start.line <= end.line && end.line <= lines;
    assert.ok(isInside, `${failure.message} is at lines ${start.line} to ${end.line} of ${lines}:\n${text}`);
  }
}

/** Stages that start from and copy from each other. */
function largeDockerfile(): string {
  const stage = (at: number) =>
    [
      `FROM ${at % 3 === 0 ? 'base' : `s${at - 1}`} AS s${at}`,
      `ARG A=${at}`,
      `RUN --mount=type=cache,target=/c echo $A`,
      `COPY --from=s${Math.max(at - 2, 0)} /a /b`,
    ].join('\n');
  return ['FROM base AS s0', ...Array.from({ length: 30 }, (_, at) => stage(at + 1)), ''].join('\n');
}
