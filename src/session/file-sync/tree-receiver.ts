import { writeFileSync } from 'node:fs';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { PatternMatcher } from '../../base/pattern.ts';
import { displayPath, type FileStat } from './file-stat.ts';
import { decodeManifest, encodeManifest, isSameFile, type ManifestEntry } from './manifest.ts';
import { OrderValidator } from './order-validator.ts';
import { decodePacket, type Packet, PacketEncoder } from './packet.ts';
import type { FileDigest, ReceiveResult, ReceiveTaskOptions } from './receive.ts';
import { type EntryOf, entryOf, type SyncEntry } from './sync-entry.ts';
import { TreeWriter } from './tree-writer.ts';

/** Files asked for and not yet complete. Bounds how many can be open at once. */
const requestLimit = 256;
const digestsAtOnce = 2000;
const metadataFile = '.fsutil-metadata';

/** What the receiver says to its surroundings. */
export interface ReceiverOutlet {
  send(packet: Packet): void;
  /** To be answered by `setDirectory`. */
  askForDirectory(): void;
  tellDigests(digests: readonly FileDigest[]): void;
  finished(result: ReceiveResult): void;
}

/** One announced file. `id` is its number among all stats; `stat` is what was said of it, `entry` what it is. */
interface Announced {
  readonly id: number;
  readonly stat: FileStat;
  readonly entry: SyncEntry;
}

interface FileRequest {
  readonly id: number;
  readonly file: EntryOf<'file'>;
}

/**
 * Where the receiver stands:
 *
 *     comparing ──difference──> waiting ──setDirectory──> writing ──all here──> leaving ──> done
 *         └───────────────────nothing differs────────────────────────────────────┘
 */
type Phase =
  /** All so far is as in the baseline; nothing is written. */
  | { readonly kind: 'comparing' }
  /** A directory was asked for. */
  | { readonly kind: 'waiting' }
  | { readonly kind: 'writing'; readonly writer: TreeWriter; readonly dir: string }
  /** The sender was told that all is well; its last word is awaited. */
  | { readonly kind: 'leaving'; readonly result: ReceiveResult }
  | { readonly kind: 'done' };

/** The receiving end of fsutil's protocol as a state machine over synchronous file operations, for a thread. */
export class TreeReceiver implements Disposable {
  readonly #options: ReceiveTaskOptions;
  readonly #outlet: ReceiverOutlet;
  readonly #order = new OrderValidator();
  readonly #baseline: ReadonlyMap<string, ManifestEntry> | undefined;
  readonly #exceptions: PatternMatcher | undefined;
  #phase: Phase = { kind: 'comparing' };
  #statsComplete = false;
  #stats = 0;
  /** What makes up the tree, in order; the first `#placed` of it is in the directory or asked for. */
  readonly #announced: Announced[] = [];
  #placed = 0;
  #unchanged = 0;
  /** Files whose data is needed; those before `#nextRequest` were asked for. */
  readonly #toRequest: FileRequest[] = [];
  #nextRequest = 0;
  readonly #requested = new Map<number, EntryOf<'file'>>();
  #transferred = 0;
  readonly #sha256 = new Map<string, Buffer>();
  /** The directories above the last stat that are not yet part of the tree: with `metadataOnly` they follow their entries. */
  #parents: Announced[] = [];
  readonly #metadata: Uint8Array[] = [];

  constructor(options: ReceiveTaskOptions, outlet: ReceiverOutlet) {
    this.#options = options;
    this.#outlet = outlet;
    const { target, metadataOnly } = options;
    if (target.kind === 'existing-tree') {
      const writer = new TreeWriter(target.dir, { owner: options.owner, existing: true });
      this.#phase = { kind: 'writing', writer, dir: target.dir };
    } else {
      this.#baseline = target.baseline && decodeManifest(target.baseline.manifest);
      if (!this.#baseline) this.#askForDirectory();
    }
    this.#exceptions = metadataOnly && new PatternMatcher(metadataOnly.exceptions);
  }

  /** Throws what makes the transfer fail. */
  receive(message: Buffer): void {
    const packet = decodePacket(message);
    switch (packet.kind) {
      case 'stat':
        if (packet.stat) this.#receiveStat(packet.stat);
        else this.#statsComplete = true;
        this.#advance();
        return;
      case 'data':
        this.#receiveData(packet.id, packet.data);
        return;
      case 'fin':
        if (this.#phase.kind !== 'leaving')
          throw new KilnError('aborted', 'file sync: the sender ended too early');
        return;
      case 'error':
        throw new KilnError('aborted', `the sender of the files failed: ${packet.message}`);
      case 'request':
        throw new KilnError('invalid_argument', 'file sync: the sender asked for a file');
    }
  }

  setDirectory(dir: string): void {
    if (this.#phase.kind !== 'waiting') return;
    const writer = new TreeWriter(dir, { owner: this.#options.owner, existing: false });
    this.#phase = { kind: 'writing', writer, dir };
    this.#advance();
  }

  /** The sender has closed the call. Throws `unavailable` when that is too early. */
  end(): void {
    if (this.#phase.kind !== 'leaving') {
      throw new KilnError('unavailable', 'the sender stopped sending files midway');
    }
    const { result } = this.#phase;
    this.#phase = { kind: 'done' };
    this.#outlet.finished(result);
  }

  [Symbol.dispose](): void {
    if (this.#phase.kind === 'writing') this.#phase.writer[Symbol.dispose]();
  }

  #receiveStat(stat: FileStat): void {
    if (this.#options.metadataOnly && stat.path === metadataFile) {
      this.#stats++;
      return;
    }
    if (this.#statsComplete) throw new KilnError('invalid_argument', 'file sync: a stat after the last');
    const entry = entryOf(stat);
    this.#order.check(entry);
    const announced = { id: this.#stats++, stat, entry };
    if (this.#exceptions) this.#announceException(announced, this.#exceptions);
    else this.#announced.push(announced);
  }

  #announceException(announced: Announced, exceptions: PatternMatcher): void {
    const { path, kind } = announced.entry;
    const encoded = new PacketEncoder().stat(announced.stat);
    const size = Buffer.allocUnsafe(4);
    size.writeUInt32LE(encoded.length);
    this.#metadata.push(size, encoded);
    this.#parents = this.#parents.filter(({ stat }) => path.startsWith(`${stat.path}/`));
    if (exceptions.matches(displayPath(path))) {
      this.#announced.push(...this.#parents, announced);
      this.#parents = [];
    } else if (kind === 'directory') this.#parents.push(announced);
  }

  /** Does all that can be done with what is known. */
  #advance(): void {
    while (this.#placed < this.#announced.length) {
      if (this.#phase.kind === 'waiting') return;
      if (!this.#place(this.#announced[this.#placed]!)) return;
      this.#placed++;
    }
    if (this.#phase.kind === 'writing') this.#request();
    if (this.#statsComplete) this.#complete();
  }

  /** False when it has to wait for a directory. */
  #place(announced: Announced): boolean {
    const { id, stat, entry } = announced;
    const known = this.#baseline?.get(stat.path);
    const unchanged = known !== undefined && isSameFile(known.stat, stat);
    if (this.#phase.kind === 'comparing') {
      if (unchanged) {
        this.#unchanged++;
        return true;
      }
      this.#askForDirectory();
      return false;
    }
    if (this.#phase.kind !== 'writing')
      throw new KilnError('invalid_argument', 'file sync: a stat after the last');
    const { writer } = this.#phase;
    const linkable = unchanged && entry.kind !== 'directory' && entry.kind !== 'hard-link';
    if (linkable && this.#linkFromBaseline(writer, entry, known)) return true;
    if (entry.kind === 'file') this.#toRequest.push({ id, file: entry });
    else writer.make(entry);
    return true;
  }

  #linkFromBaseline(writer: TreeWriter, entry: SyncEntry, known: ManifestEntry): boolean {
    const { target } = this.#options;
    if (target.kind !== 'new-tree' || !target.baseline) return false;
    if (!writer.linkFrom(target.baseline.dir, entry)) return false;
    if (known.sha256) this.#sha256.set(entry.path, known.sha256);
    return true;
  }

  #askForDirectory(): void {
    this.#phase = { kind: 'waiting' };
    // What was passed over as unchanged is placed in the new directory.
    this.#placed = 0;
    this.#unchanged = 0;
    this.#outlet.askForDirectory();
  }

  #request(): void {
    while (this.#requested.size < requestLimit) {
      const next = this.#toRequest[this.#nextRequest];
      if (!next) return;
      this.#nextRequest++;
      this.#requested.set(next.id, next.file);
      this.#outlet.send({ kind: 'request', id: next.id });
    }
  }

  #receiveData(id: number, data: Buffer): void {
    const file = this.#requested.get(id);
    if (!file || this.#phase.kind !== 'writing') {
      throw new KilnError('invalid_argument', `file sync: data for file ${id}, which was not asked for`);
    }
    try {
      if (data.length > 0) {
        this.#phase.writer.write(file, data);
        return;
      }
      const { size, sha256 } = this.#phase.writer.close(file);
      if (size === 0 && file.size > 0) {
        throw new KilnError(
          'aborted',
          `nothing was sent of ${displayPath(file.path)}, a file of ${file.size} bytes: the sender cannot read it, or it changed`,
          { hint: 'check its permissions, or leave it out with .dockerignore' },
        );
      }
      this.#sha256.set(file.path, sha256);
    } catch (error) {
      throw error instanceof KilnError
        ? error
        : asKilnError(error).wrap(`cannot store ${displayPath(file.path)}`);
    }
    this.#requested.delete(id);
    this.#transferred++;
    this.#advance();
  }

  #complete(): void {
    switch (this.#phase.kind) {
      case 'comparing':
        if (this.#unchanged < this.#baseline!.size) {
          this.#askForDirectory();
          return;
        }
        this.#tellDigests((path) => this.#baseline!.get(path)?.sha256);
        this.#leave({ kind: 'unchanged' });
        return;
      case 'writing':
        if (this.#requested.size > 0 || this.#nextRequest < this.#toRequest.length) return;
        this.#finishTree(this.#phase.writer, this.#phase.dir);
        this.#tellDigests((path) => this.#sha256.get(path));
        this.#leave({ kind: 'changed', transferred: this.#transferred, manifest: this.#manifest() });
        return;
      case 'waiting':
      case 'leaving':
      case 'done':
        return;
    }
  }

  #finishTree(writer: TreeWriter, dir: string): void {
    const { target } = this.#options;
    if (target.kind === 'existing-tree' && target.mirror) {
      const paths = new Set(this.#announced.map(({ stat }) => stat.path));
      writer.removeOthers((path) => paths.has(path));
    }
    writer.finish();
    if (this.#exceptions)
      writeFileSync(`${dir}/${metadataFile}`, Buffer.concat(this.#metadata), { mode: 0o644, flag: 'wx' });
  }

  #manifest(): Uint8Array {
    const encoder = new PacketEncoder();
    const entries = this.#announced.map(({ stat }) => ({ stat, sha256: this.#sha256.get(stat.path) }));
    return encodeManifest(entries, (stat) => encoder.stat(stat));
  }

  #tellDigests(sha256Of: (path: string) => Buffer | undefined): void {
    if (!this.#options.wantsDigests) return;
    let digests: FileDigest[] = [];
    for (const { entry } of this.#announced) {
      if (entry.kind !== 'file' && entry.kind !== 'hard-link') continue;
      const sha256 = sha256Of(entry.kind === 'file' ? entry.path : entry.target);
      if (!sha256) continue;
      digests.push({ path: entry.path, sha256: sha256.toString('hex') });
      if (digests.length < digestsAtOnce) continue;
      this.#outlet.tellDigests(digests);
      digests = [];
    }
    if (digests.length > 0) this.#outlet.tellDigests(digests);
  }

  #leave(result: ReceiveResult): void {
    this.#phase = { kind: 'leaving', result };
    this.#outlet.send({ kind: 'fin' });
  }
}
