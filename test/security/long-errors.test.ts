import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOfTrailers, statusTrailers, toConnectError } from '../../src/api/error.ts';
import { type ErrorDetail, KilnError } from '../../src/base/errors.ts';
import { Random } from '../../src/base/testing/random.ts';
import { Daemon } from '../rig/daemon.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

/** The default limit of a header list in Node's HTTP/2; others take more. Each field counts 32 bytes more than it has (RFC 9113). */
const listLimit = 65_535;
const listSize = (fields: Readonly<Record<string, string>>) =>
  Object.entries(fields).reduce((size, [name, value]) => size + name.length + value.length + 32, 0);

const alphabets = ['a', ' ', '%', 'ä', '€', '𝔘', '\ud800', 'x€ä𝔘 '];
function text(random: Random, longest: number): string {
  return random.pick(alphabets).repeat(random.below(longest));
}

function detail(random: Random, longest: number): ErrorDetail {
  const long = () => text(random, longest);
  const ranges = Array.from({ length: random.pick([1, 2, longest]) }, (_, line) => ({
    start: { line, character: 0 },
    end: { line, character: 9 },
  }));
  switch (random.below(5)) {
    case 0:
      return { kind: 'vertex', digest: long() };
    case 1:
      return { kind: 'source', filename: long(), language: '', data: Buffer.from(long()), ranges };
    case 2:
      return { kind: 'denied', messages: [long(), long()] };
    case 3:
      return { kind: 'other', typeUrl: 'example.com/unknown', value: Buffer.from(long()) };
    default:
      return { kind: 'capability', id: long() };
  }
}

test('whatever an error says, it fits into trailers that every HTTP/2 takes, and its code, beginning, end and exit code arrive', () => {
  const exit: ErrorDetail = { kind: 'exit', code: 137, oom: true };
  for (let seed = 0; seed < 100; seed++) {
    const random = new Random(seed);
    const [many, longest] = random.pick([
      [0, 0],
      [1, 100_000],
      [5, 5_000],
      [500, 50],
    ] as const);
    const others = Array.from({ length: many }, () => detail(random, longest));
    const details = others.toSpliced(random.below(others.length + 1), 0, exit);
    const message = `begins ${text(random, random.pick([10, 10_000, 400_000]))} ends`;
    const error = new KilnError('unknown', message, { details, hint: text(random, 100_000) });

    const trailers = statusTrailers(error);
    assert.ok(listSize(trailers) <= listLimit, `seed ${seed}: ${listSize(trailers)} bytes`);
    const connect = toConnectError(error);
    const metadata = Object.fromEntries(connect.metadata);
    const connectSize = listSize({ ...metadata, 'grpc-message': encodeURIComponent(connect.rawMessage) });
    assert.ok(connectSize <= listLimit - 100, `seed ${seed}: ${connectSize} bytes by Connect`);

    const arrived = errorOfTrailers(trailers)!;
    assert.equal(arrived.code, 'unknown');
    assert.ok(arrived.message.startsWith('begins ') && arrived.message.endsWith(' ends'), `seed ${seed}`);
    assert.ok(!arrived.message.slice(0, -5).includes('\ufffd') || message.includes('\ud800'), `seed ${seed}`);
    assert.deepEqual(
      arrived.details.filter(({ kind }) => kind === 'exit'),
      [exit],
      `seed ${seed}`,
    );
  }
});

test('a failing RUN of 400 KB tells how it failed and where, to whoever asked for it', async () => {
  using work = new WorkDirectory();
  await using daemon = await Daemon.start();
  for (const filler of ['x ', 'ä€ ']) {
    const dockerfile = `FROM base\nRUN : ${filler.repeat(400_000 / Buffer.byteLength(filler))}; exit 7\n`;
    const { stderr } = await daemon.kiln.failingBuild(work.tree({ Dockerfile: dockerfile }));
    const said = stderr.slice(stderr.lastIndexOf('\nerror: '));
    assert.match(
      said.replace(/(x |ä€ ){20,}/g, ''),
      /^\nerror: failed to solve: process .* bytes left out .* exit code: \d+\n/,
    );
    assert.match(stderr, /Dockerfile:2/);
    assert.doesNotMatch(stderr, /FRAME_SIZE_ERROR|reset/);
  }
});
