import { randomBytes, randomUUID } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { makeBaseLayout } from '../scripts/make-base-layout.ts';
import { encodeDefinition, files, merge, type State, scratch, toDefinition } from '../src/llb/llb.ts';
import { cacheContext } from './cache-context.ts';
import { pushLargeImage } from './large-image.ts';

/** One build as the client's arguments. */
export interface BuildCommand {
  /** `build` unless it says otherwise. */
  readonly command?: 'build' | 'prune';
  readonly args: readonly string[];
  readonly stdin?: Uint8Array;
}

/** A row of the table: builds that are timed, each after an untimed preparation. */
export interface Workload {
  readonly name: string;
  /** The ratio to the peer that is to be reached, undefined for none. */
  readonly target?: number;
  readonly rounds: number;
  /** How many vertices the graph has, where the time for each is of interest. */
  readonly vertices?: number;
  /** Not for the peer, which takes too long for it. */
  readonly alone?: boolean;
  /** Called before every round; the builds of `warmUp` are not timed. `nonce` differs from round to round and daemon to daemon. */
  prepare(nonce: string): Prepared | Promise<Prepared>;
}

export interface Prepared {
  readonly warmUp?: readonly BuildCommand[];
  readonly timed: BuildCommand;
}

export interface WorkloadOptions {
  readonly directory: string;
  /** `host:port` of a registry to push to. */
  readonly registry: string;
  /** Size of the large file, in megabytes. */
  readonly largeMegabytes: number;
  readonly smallFiles: number;
  /** Size of the large image's files, in megabytes. */
  readonly imageMegabytes: number;
  readonly rounds: number;
}

export function workloads(options: WorkloadOptions): readonly Workload[] {
  const base = makeBase(path.join(options.directory, 'base'));
  const { rounds } = options;
  const dockerfile = dockerfileContext(path.join(options.directory, 'dockerfile'));
  const small = smallFiles(path.join(options.directory, 'small'), options.smallFiles);
  const random = largeFile(path.join(options.directory, 'random'), options.largeMegabytes, (size) =>
    randomBytes(size),
  );
  const image = largeImage(
    path.join(options.directory, 'image'),
    `${options.registry}/bench/large:1`,
    options.imageMegabytes,
  );
  const text = largeFile(path.join(options.directory, 'text'), options.largeMegabytes, proseOf);
  const frontend = (context: string, ...more: readonly string[]): BuildCommand => ({
    args: [
      '--frontend=dockerfile.v0',
      '--local',
      `context=${context}`,
      '--local',
      `dockerfile=${context}`,
      ...base,
      ...more,
    ],
  });
  const cold = (make: (nonce: string) => Uint8Array) => (nonce: string) => ({
    timed: { args: [], stdin: make(nonce) },
  });
  const warm = (make: (nonce: string) => Uint8Array) => (nonce: string) => {
    const build = { args: [], stdin: make(nonce) };
    return { warmUp: [build], timed: build };
  };
  const push = (context: string, nonce: string) =>
    frontend(
      context,
      '--opt',
      `build-arg:NONCE=${nonce}`,
      '--output',
      `type=image,name=${options.registry}/bench/${path.basename(context)}:${nonce},push=true`,
    );
  const cached = cacheContext(path.join(options.directory, 'cache'));
  const cacheOf = (nonce: string, ...more: readonly string[]) =>
    frontend(cached, '--opt', `build-arg:NONCE=${nonce}`, ...more);
  const exported = (nonce: string) =>
    cacheOf(nonce, '--export-cache', `type=registry,ref=${options.registry}/bench/cache:${nonce},mode=max`);
  return [
    {
      name: 'fully cached rebuild of a 13-vertex Dockerfile',
      target: 1.2,
      rounds: rounds * 3,
      prepare: () => ({ warmUp: [frontend(dockerfile)], timed: frontend(dockerfile) }),
    },
    {
      name: 'the same with --no-cache',
      target: 0.7,
      rounds: rounds * 2,
      prepare: () => ({ timed: frontend(dockerfile, '--no-cache') }),
    },
    { name: 'chain of 100 mkfile ops, cold', target: 0.25, rounds, prepare: cold(chain) },
    { name: 'chain of 100 mkfile ops, cached', target: 1, rounds, prepare: warm(chain) },
    {
      name: '1,000 independent mkfile ops merged, cold',
      target: 0.15,
      rounds: Math.min(rounds, 2),
      prepare: cold(fan(1_000)),
    },
    {
      name: '1,000 independent mkfile ops merged, cached',
      target: 0.5,
      rounds: Math.min(rounds, 2),
      vertices: 1_000,
      prepare: warm(fan(1_000)),
    },
    {
      name: '10,000 independent mkfile ops merged, cached',
      rounds: 1,
      vertices: 10_000,
      alone: true,
      prepare: warm(fan(10_000)),
    },
    {
      name: `context of ${options.smallFiles} files of 1 KB, first`,
      target: 1,
      rounds,
      prepare: (nonce) => ({ timed: frontend(small.fresh(nonce)) }),
    },
    {
      name: 'the same, nothing changed',
      target: 1,
      rounds,
      prepare: () => ({ warmUp: [frontend(small.directory)], timed: frontend(small.directory) }),
    },
    {
      name: 'the same, one file changed',
      target: 1,
      rounds,
      prepare: (nonce) => {
        small.change(nonce);
        return { timed: frontend(small.directory) };
      },
    },
    {
      name: 'the same, one file changed, exported to an OCI tarball',
      target: 1,
      rounds,
      prepare: (nonce) => {
        small.change(nonce);
        return {
          timed: frontend(
            small.directory,
            '--output',
            `type=oci,dest=${path.join(options.directory, 'out.tar')}`,
          ),
        };
      },
    },
    {
      name: `context of one ${options.largeMegabytes} MB random file, built and pushed`,
      target: 1.2,
      rounds: Math.min(rounds, 2),
      prepare: (nonce) => ({ timed: push(random.fresh(nonce), nonce) }),
    },
    {
      name: `the same with ${options.largeMegabytes} MB of text`,
      target: 1.2,
      rounds: Math.min(rounds, 2),
      prepare: (nonce) => ({ timed: push(text.fresh(nonce), nonce) }),
    },
    {
      name: `an image of ${options.imageMegabytes} MB, 10 layers and 30,000 files, pulled and unpacked`,
      target: 0.7,
      rounds,
      async prepare() {
        await image.push();
        return { warmUp: [prune], timed: frontend(image.reader) };
      },
    },
    {
      name: 'the same with a label, pushed to the same registry',
      rounds,
      async prepare(nonce) {
        await image.push();
        return { warmUp: [prune], timed: push(image.labelled, nonce) };
      },
    },
    {
      name: 'the same, unpacked here and pushed again unchanged',
      target: 0.5,
      rounds: rounds * 2,
      async prepare() {
        await image.push();
        const unchanged = push(image.extended, 'unchanged');
        return { warmUp: [unchanged], timed: unchanged };
      },
    },
    {
      name: 'mode=max cache of 20 steps and 200 MB exported to a registry',
      target: 0.5,
      rounds,
      prepare: (nonce) => ({ warmUp: [cacheOf(nonce)], timed: exported(nonce) }),
    },
    {
      name: 'the same cache exported again, unchanged',
      target: 0.3,
      rounds,
      prepare: (nonce) => ({ warmUp: [exported(nonce)], timed: exported(nonce) }),
    },
    {
      name: 'that cache imported, and a full hit on an empty root',
      target: 0.5,
      rounds,
      prepare: (nonce) => ({
        warmUp: [exported(nonce), prune],
        timed: cacheOf(nonce, '--import-cache', `type=registry,ref=${options.registry}/bench/cache:${nonce}`),
      }),
    },
  ];
}

const prune: BuildCommand = { command: 'prune', args: ['--all'] };

interface ImageContexts {
  /** Pushes the image, the first time. */
  push(): Promise<void>;
  /** Reads a file of the topmost layer, for which the whole image is unpacked. */
  readonly reader: string;
  /** Needs none of the image's files. */
  readonly labelled: string;
  /** Adds a layer to the image, made of one of its files. */
  readonly extended: string;
}

function largeImage(directory: string, name: string, megabytes: number): ImageContexts {
  const context = (kind: string, dockerfile: string) => {
    const at = path.join(directory, kind);
    mkdirSync(at, { recursive: true });
    writeFileSync(path.join(at, 'Dockerfile'), dockerfile);
    return at;
  };
  let pushing: Promise<void> | undefined;
  return {
    push() {
      pushing ??= pushLargeImage({ name, layers: 10, files: 30_000, size: megabytes << 20 });
      return pushing;
    },
    reader: context('reader', `FROM scratch\nCOPY --from=${name} /layer-9/0/7.bin /\n`),
    labelled: context('labelled', `FROM ${name}\nARG NONCE\nLABEL nonce=$NONCE\n`),
    extended: context('extended', `FROM ${name}\nCOPY --from=${name} /layer-9/0/7.bin /\n`),
  };
}

/** A local base image as a named context, in the words that every client knows. */
function makeBase(directory: string): readonly string[] {
  makeBaseLayout(directory);
  const index = JSON.parse(readFileSync(path.join(directory, 'index.json'), 'utf8')) as {
    readonly manifests: readonly [{ readonly digest: string }];
  };
  return [
    '--oci-layout',
    `base=${directory}`,
    '--opt',
    `context:base=oci-layout://base@${index.manifests[0].digest}`,
  ];
}

function dockerfileContext(directory: string): string {
  mkdirSync(directory, { recursive: true });
  writeFileSync(path.join(directory, 'input.txt'), 'some input\n');
  writeFileSync(
    path.join(directory, 'Dockerfile'),
    `FROM base AS one
RUN sleep 0.1 && echo one > /one
FROM base AS two
RUN sleep 0.1 && echo two > /two
FROM base AS three
WORKDIR /work
COPY input.txt .
RUN wc -c input.txt > /three
FROM base
WORKDIR /out
COPY --from=one /one .
COPY --from=two /two .
COPY --from=three /three .
RUN cat one two three > all
CMD ["cat", "/out/all"]
`,
  );
  return directory;
}

interface SmallFiles {
  readonly directory: string;
  /** Another directory with files of the same sizes, never seen before. */
  fresh(nonce: string): string;
  change(nonce: string): void;
}

function smallFiles(directory: string, count: number): SmallFiles {
  const make = (at: string) => {
    for (let index = 0; index < count; index++) {
      const folder = path.join(at, 'data', String(index % 200));
      if (index < 200) mkdirSync(folder, { recursive: true });
      writeFileSync(path.join(folder, `${index}.bin`), randomBytes(1024));
    }
    writeFileSync(path.join(at, 'Dockerfile'), 'FROM scratch\nCOPY data /data\n');
    return at;
  };
  return {
    directory: make(directory),
    fresh: (nonce) => make(`${directory}-${nonce}`),
    change: (nonce) => writeFileSync(path.join(directory, 'data', '7', '7.bin'), nonce.padEnd(1024, '.')),
  };
}

function largeFile(
  directory: string,
  megabytes: number,
  chunkOf: (size: number) => Uint8Array,
): { fresh(nonce: string): string } {
  return {
    fresh(nonce) {
      const at = `${directory}-${nonce}`;
      mkdirSync(at, { recursive: true });
      const file = openSync(path.join(at, 'large'), 'w');
      for (let written = 0; written < megabytes; written++) writeSync(file, chunkOf(1024 * 1024));
      closeSync(file);
      writeFileSync(path.join(at, 'Dockerfile'), 'FROM scratch\nCOPY large /large\n');
      return at;
    },
  };
}

const vocabulary = Array.from({ length: 4096 }, () =>
  randomBytes(4)
    .toString('hex')
    .slice(0, 2 + (randomBytes(1)[0]! % 7)),
);

/** Text that compresses about as source code does. */
function proseOf(size: number): Uint8Array {
  const numbers = new Uint16Array(randomBytes(Math.ceil(size / 4) * 2).buffer);
  const words: string[] = [];
  let length = 0;
  for (let index = 0; length < size; index++) {
    const number = numbers[index % numbers.length]!;
    const word = vocabulary[(number * number) >>> 20]!;
    words.push(word, number % 11 === 0 ? '\n' : ' ');
    length += word.length + 1;
  }
  return Buffer.from(words.join('').slice(0, size));
}

function chain(nonce: string): Uint8Array {
  let state: State = scratch();
  for (let index = 0; index < 100; index++)
    state = state.file(files().mkfile(`/file-${index}`, 0o644, `${nonce} ${index}`));
  return encodeDefinition(toDefinition(state));
}

function fan(width: number): (nonce: string) => Uint8Array {
  return (nonce) => {
    const parts = Array.from({ length: width }, (_, index) =>
      scratch().file(files().mkfile(`/file-${index}`, 0o644, `${nonce} ${index}`)),
    );
    return encodeDefinition(toDefinition(merge(parts)));
  };
}

export function newNonce(): string {
  return randomUUID().slice(0, 8);
}
