import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { toBinary } from '@bufbuild/protobuf';
import { type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt';
import { type StatusResponse, StatusResponseSchema } from '../../api/gen/control_pb.js';
import { type Digest, digestOf } from '../../base/digest.ts';
import type { VertexEvent } from '../../base/progress.ts';
import { Random } from '../../base/testing/random.ts';
import { VertexLives } from '../../base/testing/vertex-lives.ts';
import { BuildProgress } from './build-progress.ts';

/** What one client sees of a build. */
class Client {
  readonly logs = new Map<string, string>();
  readonly #lives = new VertexLives();

  async read(messages: AsyncIterable<StatusResponse>): Promise<void> {
    for await (const { vertexes, statuses, logs } of messages) {
      // What comes in one message with an end came before it.
      for (const { digest, started } of vertexes) this.#see(digest, started, undefined);
      for (const { vertex } of statuses) this.#lives.output(vertex);
      for (const { vertex, data } of logs) {
        this.#lives.output(vertex);
        this.logs.set(vertex, (this.logs.get(vertex) ?? '') + Buffer.from(data).toString('latin1'));
      }
      for (const { digest, started, completed } of vertexes) this.#see(digest, started, completed);
    }
    this.#lives.assertOver();
  }

  #see(digest: string, started: Timestamp | undefined, completed: Timestamp | undefined): void {
    const ms = (time: Timestamp | undefined) => time && timestampMs(time);
    this.#lives.vertex({ digest, started: ms(started), completed: ms(completed) });
  }
}

const aVertex = (digest: Digest, more: Partial<VertexEvent> = {}): VertexEvent => ({
  digest,
  name: 'a step',
  inputs: [],
  ...more,
});

test('every run of a vertex ends for every client, and what it said comes before that', async () => {
  const first = Number(process.env.KILN_FUZZ_SEED ?? Math.floor(Math.random() * 1_000_000));
  for (let seed = first; seed < first + 60; seed++) {
    try {
      await randomBuild(seed);
    } catch (cause) {
      throw new Error(`seed ${seed} (KILN_FUZZ_SEED=${seed} begins with it)`, { cause });
    }
  }
});

/** Vertices run several times, clients come in the middle, and messages are made at any moment. */
async function randomBuild(seed: number): Promise<void> {
  const random = new Random(seed);
  const progress = new BuildProgress();
  const digests = [1, 2, 3].map((number) => digestOf(`${number}`));
  const said = new Map<string, string>();
  const clients: { readonly client: Client; readonly done: Promise<void> }[] = [];
  const join = () => {
    const client = new Client();
    clients.push({ client, done: client.read(progress.stream(AbortSignal.timeout(30_000))) });
  };
  let now = 1_700_000_000_000;
  const time = () => {
    now += random.below(3);
    return new Date(now);
  };
  const pause = async () => {
    if (random.chance(0.1)) join();
    if (random.chance(0.3)) await setImmediate();
  };
  const run = async (digest: Digest) => {
    const started = time();
    if (random.chance(0.2)) {
      progress.vertex(aVertex(digest, { started, completed: started, cached: true }));
      return;
    }
    progress.vertex(aVertex(digest, { started }));
    for (let part = random.below(4); part > 0; part--) {
      await pause();
      progress.status(digest, { id: `part ${random.below(2)}`, started });
      const text = String(part).repeat(random.chance(0.1) ? 700_000 : 10);
      said.set(digest, (said.get(digest) ?? '') + text);
      progress.log(digest, 1, Buffer.from(text), time());
    }
    await pause();
    progress.vertex(
      aVertex(digest, { started, completed: time(), error: random.chance(0.2) ? 'no' : undefined }),
    );
  };
  join();
  const lives = digests.map(async (digest) => {
    progress.vertex(aVertex(digest));
    for (let runs = random.below(4); runs > 0; runs--) {
      await run(digest);
      await pause();
    }
  });
  await Promise.all(lives);
  progress.end();
  join();
  for (const { client, done } of clients) {
    await done;
    for (const [digest, text] of said) {
      // A step that says too much is cut short.
      assert.ok(text.startsWith(client.logs.get(digest)!.slice(0, 1_000_000)), `the log of ${digest}`);
    }
  }
}

test('a run that ended and the next that began travel in one message, each on its own', async () => {
  const progress = new BuildProgress();
  const digest = digestOf('twice');
  const at = (ms: number) => new Date(1_700_000_000_000 + ms);
  const lines: string[] = [];
  const ms = (time: Timestamp | undefined) => time && timestampMs(time) - at(0).getTime();
  const reading = (async () => {
    for await (const { vertexes } of progress.stream(AbortSignal.timeout(30_000))) {
      for (const { started, completed } of vertexes) lines.push(`${ms(started)}-${ms(completed)}`);
    }
  })();
  progress.vertex(aVertex(digest));
  progress.vertex(aVertex(digest, { started: at(1) }));
  progress.vertex(aVertex(digest, { started: at(1), completed: at(2) }));
  progress.vertex(aVertex(digest, { started: at(3) }));
  await setImmediate();
  progress.vertex(aVertex(digest, { started: at(3), completed: at(4) }));
  progress.end();
  await reading;
  assert.deepEqual(lines, ['1-2', '3-undefined', '3-4']);
});

test('warnings are bounded in number, in length, and together, and the last says that there were more', async () => {
  const told = async (count: number, short: string) => {
    const progress = new BuildProgress();
    const detail = Array.from({ length: 2_000 }, () => short);
    for (let warning = 0; warning < count; warning++) {
      progress.warning(digestOf('a'), { level: 2, short, detail, url: short });
    }
    progress.end();
    const warnings = [];
    for await (const message of progress.stream(new AbortController().signal))
      warnings.push(...message.warnings);
    assert.equal(progress.counts().warnings, count);
    return warnings;
  };
  const many = await told(10_100, '');
  assert.equal(many.length, 10_000);
  assert.match(Buffer.from(many.at(-1)!.short).toString(), /^more warnings than are shown/);
  const [long] = await told(1, 'long '.repeat(100_000));
  assert.ok(long!.short.length <= 65_536 && long!.url.length <= 65_536);
  assert.ok(long!.detail.reduce((sum, { length }) => sum + length, 0) <= 65_536);
  assert.ok((await told(200, 'long '.repeat(100_000))).length < 100);
});

test('whatever is told, no message is larger than clients take, and nothing is left out but the source of many warnings', async () => {
  const progress = new BuildProgress();
  const digests = Array.from({ length: 30_000 }, (_, index) => digestOf(`${index}`));
  const source = { filename: 'Dockerfile', data: Buffer.alloc(1024 * 1024, 'x') };
  const started = new Date();
  for (const [index, digest] of digests.entries()) {
    progress.vertex(aVertex(digest, { name: `step ${digest} ${'x'.repeat(500)}`, started }));
    progress.status(digest, { id: 'part', started });
    if (index < 40) progress.warning(digest, { level: 1, short: 'a warning', source });
    progress.vertex(
      aVertex(digest, { name: `step ${digest} ${'x'.repeat(500)}`, started, completed: started }),
    );
  }
  progress.vertex(
    aVertex(digestOf('long'), {
      name: 'n'.repeat(20e6),
      started,
      completed: started,
      error: 'e'.repeat(20e6),
    }),
  );
  progress.end();
  const completed = new Set<string>();
  let [statuses, warnings, sources] = [0, 0, 0];
  const lives = new VertexLives();
  const ms = (time: Timestamp | undefined) => time && timestampMs(time);
  for await (const message of progress.stream(AbortSignal.timeout(60_000))) {
    assert.ok(toBinary(StatusResponseSchema, message).length < 4 * 1024 * 1024);
    for (const { digest, started, completed: end } of message.vertexes) {
      lives.vertex({ digest, started: ms(started), completed: ms(end) });
      if (end) completed.add(digest);
    }
    statuses += message.statuses.length;
    warnings += message.warnings.length;
    sources += message.warnings.filter(({ info }) => info).length;
  }
  lives.assertOver();
  assert.deepEqual([completed.size, statuses, warnings, sources], [30_001, 30_000, 40, 8]);
});
