import type { Random } from '../../base/testing/random.ts';
import type { ByteString } from '../../base/text/byte-string.ts';
import { pathIn } from '../../tree/tree.ts';
import type { EntryMetadata, GrowingFile } from '../../tree/tree-maker.ts';
import type { RandomTreeTarget } from './model-tree.ts';

export interface RandomTreeOptions {
  /** Whether there may be what only an image can have: attributes and times for which other file systems have no room. */
  readonly isUnlimited: boolean;
  readonly blockSize: number;
}

const names = [
  'a',
  'b',
  'c',
  'file.txt',
  '-',
  '!',
  '.a',
  '..b',
  ' ',
  'x\ny',
  '\\',
  '"',
  '\xff\xfe',
  '\xc3\xbc',
  '\x01',
];
const capability = Buffer.from('0000000200040000000000000000000000000000', 'hex').toString('latin1');
const day = 86_400_000_000_000n;

/** Makes a tree: what it is like depends on the random numbers alone, not on what it is made with. */
export function makeRandomTree(target: RandomTreeTarget, random: Random, options: RandomTreeOptions): void {
  new RandomTree(target, random, options).make();
}

class RandomTree {
  readonly #target: RandomTreeTarget;
  readonly #random: Random;
  readonly #options: RandomTreeOptions;
  readonly #directories: ByteString[] = [''];
  /** What is no directory, and which of it is a file. */
  readonly #others = new Map<ByteString, 'file' | 'other'>();
  readonly #growing = new Map<ByteString, GrowingFile>();

  constructor(target: RandomTreeTarget, random: Random, options: RandomTreeOptions) {
    this.#target = target;
    this.#random = random;
    this.#options = options;
  }

  make(): void {
    const random = this.#random;
    // One tree has many names in few directories.
    const count = random.chance(0.003) ? 400 : random.below(20);
    for (let step = 0; step < count; step++) this.#step();
    for (const [path, file] of this.#growing) {
      this.#grow(file);
      file.finish();
      this.#others.set(path, 'file');
    }
    for (const path of this.#directories.toReversed()) {
      this.#target.setMetadata(path, { ...this.#metadata(), xattrs: undefined });
    }
    this.#target.finish();
  }

  #step(): void {
    const random = this.#random;
    const around = random.pick(this.#directories);
    const path = pathIn(around, this.#name());
    if (this.#isTaken(path)) {
      this.#change(path);
      return;
    }
    const metadata = this.#metadata();
    switch (random.below(12)) {
      case 0:
      case 1:
      case 2:
        this.#target.add(path, { kind: 'file', metadata, data: this.#data() });
        this.#others.set(path, 'file');
        return;
      case 3:
      case 4:
        this.#target.add(path, { kind: 'directory', metadata });
        this.#directories.push(path);
        return;
      case 5:
      case 6:
        this.#growing.set(path, this.#target.addFile(path, metadata));
        return;
      case 7:
        this.#target.add(path, { kind: 'symlink', metadata, target: this.#linkTarget() });
        break;
      case 8: {
        const files = [...this.#others.keys()];
        if (files.length === 0) return;
        this.#target.add(path, { kind: 'hard-link', target: random.pick(files) });
        break;
      }
      case 9:
        this.#target.add(path, { kind: 'fifo', metadata });
        break;
      case 10:
        this.#target.addWhiteout(path);
        this.#target.setMetadata(path, { times: metadata.times });
        break;
      default: {
        const kind = random.pick(['character-device', 'block-device'] as const);
        const device = { major: random.below(4096), minor: 1 + random.below(0xf_ffff) };
        this.#target.add(path, { kind, metadata, ...device });
      }
    }
    this.#others.set(path, 'other');
  }

  #change(path: ByteString): void {
    const random = this.#random;
    const growing = this.#growing.get(path);
    if (growing) {
      this.#grow(growing);
      return;
    }
    if (random.chance(0.3)) {
      const isGrowingInside = [...this.#growing.keys()].some((each) => each.startsWith(`${path}/`));
      if (isGrowingInside) return;
      this.#target.remove(path);
      for (const each of [...this.#others.keys()]) if (isAt(each, path)) this.#others.delete(each);
      const kept = this.#directories.filter((each) => !isAt(each, path));
      this.#directories.splice(0, this.#directories.length, ...kept);
      return;
    }
    const isDirectory = this.#directories.includes(path);
    if (isDirectory && random.chance(0.3)) {
      this.#target.makeOpaque(path);
      return;
    }
    const { owner, mode, times, xattrs } = this.#metadata();
    this.#target.setMetadata(path, {
      ...(random.chance(0.5) && { owner, mode }),
      ...(random.chance(0.5) && { times }),
      ...(random.chance(0.5) && { xattrs }),
    });
  }

  #isTaken(path: ByteString): boolean {
    return this.#others.has(path) || this.#growing.has(path) || this.#directories.includes(path);
  }

  #grow(file: GrowingFile): void {
    for (let piece = this.#random.below(3); piece > 0; piece--) {
      if (this.#random.chance(0.3)) file.hole(this.#size() + 1);
      else file.write(this.#data());
    }
  }

  #name(): ByteString {
    const random = this.#random;
    if (random.chance(0.7)) return random.pick(names);
    const length = random.chance(0.1) ? 255 : 1 + random.below(40);
    let name = '';
    while (name.length < length) {
      const byte = 1 + random.below(255);
      name += byte === 0x2f ? '_' : String.fromCharCode(byte);
    }
    return name === '.' || name === '..' ? '_' : name;
  }

  #metadata(): EntryMetadata {
    const random = this.#random;
    const { isUnlimited } = this.#options;
    const id = () => random.pick([0, 1, 1000, 65_535, 65_536, 0xffff_fffe]);
    const modification = isUnlimited
      ? random.pick([
          0n,
          -1n,
          -1_000_000_000n,
          2n ** 33n * 1_000_000_000n,
          -(2n ** 80n) / 2n ** 17n,
          1_234_567_890_123_456_789n,
        ])
      : BigInt(random.below(40_000) - 20_000) * day + BigInt(random.below(1_000_000_000));
    return {
      owner: { uid: id(), gid: id() },
      mode: random.below(0o10000),
      times: { access: 0n, modification },
      ...(random.chance(0.3) && { xattrs: this.#xattrs() }),
    };
  }

  #xattrs(): Map<string, ByteString> {
    const random = this.#random;
    const xattrs = new Map<string, ByteString>();
    const { isUnlimited } = this.#options;
    const count = isUnlimited && random.chance(0.05) ? 100 : random.below(4);
    for (let made = 0; made < count; made++) {
      const namespace = random.pick(['user.', 'trusted.', 'security.']);
      const longest = isUnlimited ? 255 - namespace.length : 20;
      const name = namespace + 'n'.repeat(random.chance(0.1) ? longest : 1 + random.below(10));
      const size =
        isUnlimited && made === 0 && random.chance(0.1) ? 20_000 : random.pick([0, 1, 3, 4, 5, 100]);
      xattrs.set(name, String.fromCharCode(random.below(256)).repeat(size));
    }
    if (random.chance(0.2)) xattrs.set('security.capability', capability);
    return xattrs;
  }

  #size(): number {
    const { blockSize } = this.#options;
    const near = this.#random.below(3) - 1;
    const bases = [0, 1, 100, blockSize - 64, blockSize, 2 * blockSize, 3 * blockSize];
    const base = this.#random.chance(0.05)
      ? this.#random.pick([65_536, 131_072, 300_000])
      : this.#random.pick(bases);
    return Math.max(base + near, 0);
  }

  #data(): Buffer {
    return Buffer.alloc(this.#size(), 1 + this.#random.below(255));
  }

  #linkTarget(): ByteString {
    return this.#random.pick(['a', '../b', '/', '\xff', 'x'.repeat(100), 'y'.repeat(4095), 'z'.repeat(4032)]);
  }
}

function isAt(path: ByteString, top: ByteString): boolean {
  return path === top || path.startsWith(`${top}/`);
}
