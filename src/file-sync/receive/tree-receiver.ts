import { setImmediate as nextTurn } from 'node:timers/promises';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { fromByteString, toByteString } from '../../base/text/byte-string.ts';
import { DirectoryTreeMaker, type DirectoryTreeOptions } from '../../tree/directory-tree-maker.ts';
import type { FileStat } from '../protocol/file-stat.ts';
import { decodePacket, type Packet, PacketEncoder } from '../protocol/packet.ts';
import { MetadataExceptions, metadataFile } from './metadata-exceptions.ts';
import { OrderValidator } from './order-validator.ts';
import type {
  Baseline,
  BaselineAccess,
  FileDigest,
  OpenBaseline,
  ReceivedContent,
  ReceiveResult,
} from './received-tree.ts';
import { type EntryOf, entryOf } from './sync-entry.ts';
import { type Announced, type TreeDifference, treeDifference } from './tree-difference.ts';
import { decodeManifest, encodeManifest, type ManifestEntry } from './tree-manifest.ts';
import { type Owner, TreeWriter } from './tree-writer.ts';
import { updateTree } from './update-tree.ts';

/** Files asked for and not yet complete. Bounds how many can be open at once. */
const requestLimit = 256;
const digestsAtOnce = 2000;
/** Files copied between two looks at what else happens. */
const copiesPerTurn = 100;
/** A tree that others may still want is changed in place if at most this part of what stays in it goes. */
const expendable = 1 / 8;

/** What a receiver needs to know, as `ReceiveOptions` and `ReceiveTarget` have it. */
export interface TreeReceiverOptions {
  readonly target:
    | { readonly kind: 'new-tree'; readonly baseline: Omit<Baseline, 'open'> | undefined }
    | { readonly kind: 'existing-tree'; readonly dir: string; readonly mirror: boolean };
  readonly owner: Owner | undefined;
  readonly metadataOnly: { readonly exceptions: readonly string[] } | undefined;
  readonly wantsDigests: boolean;
}

/** What the receiver says to its surroundings. */
export interface ReceiverOutlet {
  send(packet: Packet): void;
  /** To be answered by `setDirectory`. */
  askForDirectory(): void;
  /** To be answered by `setBaseline`. */
  askForBaseline(wish: BaselineAccess): void;
  tellDigests(digests: readonly FileDigest[]): void;
  finished(result: ReceiveResult): void;
  failed(error: unknown): void;
}

interface FileRequest {
  readonly id: number;
  readonly file: EntryOf<'file'>;
}

/**
 * Where the receiver stands:
 *
 *     comparing ──difference──> waiting ──setDirectory──> writing ──all here──> leaving ──> done
 *         │                                                  └──────> joining ─────┘
 *         └───────────────────nothing differs────────────────────────────────────┘
 *
 * Without a baseline it begins with waiting, and files are made as they are announced.
 */
type Phase =
  /** What is announced is compared with the baseline, once all is; nothing is written. */
  | { readonly kind: 'comparing' }
  /** A directory was asked for. */
  | { readonly kind: 'waiting' }
  | { readonly kind: 'writing'; readonly writer: TreeWriter; readonly dir: string }
  /** All that differs is here, in `dir`; it is put together with what is still the same in the baseline. */
  | { readonly kind: 'joining'; readonly writer: TreeWriter; readonly dir: string }
  /** The sender was told that all is well; its last word is awaited. */
  | { readonly kind: 'leaving'; readonly result: ReceiveResult }
  | { readonly kind: 'done' };

/** The receiving end of fsutil's protocol as a state machine over synchronous file operations, for a thread. */
export class TreeReceiver implements Disposable {
  readonly #options: TreeReceiverOptions;
  readonly #outlet: ReceiverOutlet;
  readonly #order = new OrderValidator();
  readonly #baseline: ReadonlyMap<string, ManifestEntry> | undefined;
  readonly #exceptions: MetadataExceptions | undefined;
  #phase: Phase = { kind: 'comparing' };
  #statsComplete = false;
  #stats = 0;
  /** What makes up the tree, in order. */
  readonly #announced: Announced[] = [];
  /** Against the baseline, if there is one and all is announced. */
  #difference: TreeDifference | undefined;
  readonly #directories = new Map<string, EntryOf<'directory'>>();
  /** Directories that are there to write in. */
  readonly #made = new Set<string>(['']);
  /** So much of what is to be sent is in the directory or asked for. */
  #placed = 0;
  /** Files whose data is needed; those before `#nextRequest` were asked for. */
  readonly #toRequest: FileRequest[] = [];
  #nextRequest = 0;
  readonly #requested = new Map<number, EntryOf<'file'>>();
  #transferred = 0;
  readonly #sha256 = new Map<string, Buffer>();

  constructor(options: TreeReceiverOptions, outlet: ReceiverOutlet) {
    this.#options = options;
    this.#outlet = outlet;
    const { target, metadataOnly } = options;
    if (target.kind === 'existing-tree') {
      const writer = this.#writerIn(target.dir, 'replace');
      this.#phase = { kind: 'writing', writer, dir: target.dir };
    } else {
      this.#baseline = target.baseline && decodeManifest(target.baseline.manifest);
      if (!this.#baseline) this.#askForDirectory();
    }
    this.#exceptions = metadataOnly && new MetadataExceptions(metadataOnly.exceptions);
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
    const writer = this.#writerIn(dir, 'fail');
    this.#phase = { kind: 'writing', writer, dir };
    this.#advance();
  }

  /** Throws what makes the transfer fail. */
  setBaseline({ dir, access }: OpenBaseline): void {
    if (this.#phase.kind !== 'joining') return;
    switch (access) {
      case 'change':
        this.#changeBaseline(dir);
        return;
      case 'read':
        this.#copyFrom(dir).catch((error) => this.#outlet.failed(error));
        return;
    }
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
    if (this.#phase.kind === 'writing' || this.#phase.kind === 'joining') {
      this.#phase.writer[Symbol.dispose]();
    }
    this.#phase = { kind: 'done' };
  }

  #writerIn(dir: string, existing: DirectoryTreeOptions['existing']): TreeWriter {
    const tree = new DirectoryTreeMaker(toByteString(dir), { existing, refusedXattrs: 'leave-out' });
    return new TreeWriter(tree, this.#options.owner);
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
    this.#announced.push(...(this.#exceptions?.announce(announced) ?? [announced]));
  }

  /** Does all that can be done with what is known. */
  #advance(): void {
    if (this.#phase.kind === 'comparing' && this.#statsComplete) this.#compare(this.#baseline!);
    if (this.#phase.kind === 'writing') {
      const all = this.#difference?.changed ?? this.#announced;
      while (this.#placed < all.length) this.#place(this.#phase.writer, all[this.#placed++]!);
      this.#request();
      if (this.#statsComplete) this.#complete(this.#phase.writer, this.#phase.dir);
    }
  }

  #compare(baseline: ReadonlyMap<string, ManifestEntry>): void {
    this.#difference = treeDifference(baseline, this.#announced);
    // Of what is not part of the tree only the metadata file tells.
    if (this.#difference.isEmpty && !this.#exceptions) {
      this.#leave({ kind: 'unchanged' });
      return;
    }
    for (const { entry } of this.#announced) {
      if (entry.kind === 'directory') this.#directories.set(entry.path, entry);
    }
    this.#askForDirectory();
  }

  #place(writer: TreeWriter, { id, entry }: Announced): void {
    if (this.#difference) this.#makeParents(writer, entry.path);
    if (entry.kind === 'file') this.#toRequest.push({ id, file: entry });
    else writer.make(entry);
    if (entry.kind === 'directory') this.#made.add(entry.path);
  }

  /** What differs may lie in directories that do not. */
  #makeParents(writer: TreeWriter, path: string): void {
    for (let end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1)) {
      this.#makeDirectory(writer, this.#directories.get(path.slice(0, end))!);
    }
  }

  #makeDirectory(writer: TreeWriter, directory: EntryOf<'directory'>): void {
    if (this.#made.has(directory.path)) return;
    this.#made.add(directory.path);
    writer.make(directory);
  }

  #askForDirectory(): void {
    this.#phase = { kind: 'waiting' };
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
          `nothing was sent of ${fromByteString(file.path)}, a file of ${file.size} bytes: the sender cannot read it, or it changed`,
          { hint: 'check its permissions, or leave it out with .dockerignore' },
        );
      }
      this.#sha256.set(file.path, sha256);
    } catch (error) {
      throw error instanceof KilnError
        ? error
        : asKilnError(error).wrap(`cannot store ${fromByteString(file.path)}`);
    }
    this.#requested.delete(id);
    this.#transferred++;
    this.#advance();
  }

  #complete(writer: TreeWriter, dir: string): void {
    if (this.#requested.size > 0 || this.#nextRequest < this.#toRequest.length) return;
    const { target } = this.#options;
    if (this.#difference && target.kind === 'new-tree' && target.baseline) {
      const { kept, dropped } = this.#difference;
      this.#phase = { kind: 'joining', writer, dir };
      const isExpendable = target.baseline.superseded || dropped <= kept * expendable;
      this.#outlet.askForBaseline(isExpendable ? 'change' : 'read');
      return;
    }
    if (target.kind === 'existing-tree' && target.mirror) {
      const paths = new Set(this.#announced.map(({ stat }) => stat.path));
      writer.removeOthers((path) => paths.has(path));
    }
    this.#finishTree(writer);
  }

  /** All at once: nobody can end it halfway. */
  #changeBaseline(dir: string): void {
    if (this.#phase.kind !== 'joining') return;
    const { writer, dir: arrived } = this.#phase;
    const difference = this.#difference!;
    writer.finish();
    updateTree({
      dir: toByteString(dir),
      last: this.#baseline!,
      difference,
      arrived: toByteString(arrived),
      owner: this.#options.owner,
      ownFile: this.#exceptions?.file,
    });
    this.#tellAndLeave(writer, 'in-place');
  }

  async #copyFrom(last: string): Promise<void> {
    const changed = new Set(this.#difference!.changed);
    const root = toByteString(last);
    let copies = 0;
    for (const announced of this.#announced) {
      if (this.#phase.kind !== 'joining') return;
      const { writer } = this.#phase;
      const { entry } = announced;
      if (changed.has(announced)) continue;
      if (entry.kind === 'directory') this.#makeDirectory(writer, entry);
      else if (entry.kind !== 'file') writer.make(entry);
      else {
        writer.copyFrom(root, entry);
        if (++copies % copiesPerTurn === 0) await nextTurn();
      }
    }
    if (this.#phase.kind !== 'joining') return;
    this.#finishTree(this.#phase.writer);
  }

  #finishTree(writer: TreeWriter): void {
    const file = this.#exceptions?.file;
    if (file) writer.addFile(file.path, file.data);
    writer.finish();
    this.#tellAndLeave(writer, 'new');
  }

  #tellAndLeave(writer: TreeWriter, made: 'new' | 'in-place'): void {
    const difference = this.#difference;
    if (made === 'in-place' && difference) {
      this.#tellDigests(writer, difference.changed);
      this.#tell(difference.gone.map((path) => ({ path, content: undefined })));
    } else this.#tellDigests(writer, this.#announced);
    this.#leave({ kind: 'changed', transferred: this.#transferred, made, manifest: this.#manifest() });
  }

  #manifest(): Uint8Array {
    const encoder = new PacketEncoder();
    const entries = this.#announced.map(({ stat, entry }) => ({
      stat,
      sha256: entry.kind === 'file' ? this.#digestOf(entry.path) : undefined,
    }));
    return encodeManifest(entries, (stat) => encoder.stat(stat));
  }

  /** Of header and data of a file that was sent now, or before. */
  #digestOf(path: string): Buffer | undefined {
    return this.#sha256.get(path) ?? this.#baseline?.get(path)?.sha256;
  }

  #tellDigests(writer: TreeWriter, files: readonly Announced[]): void {
    /** By path: all names of a file are among the files, the first one of them as a file. */
    const contents = new Map<string, ReceivedContent>();
    const digests: FileDigest[] = [];
    for (const { entry } of files) {
      if (entry.kind === 'file') {
        const sha256 = this.#digestOf(entry.path)?.toString('hex');
        if (sha256 !== undefined) contents.set(entry.path, { header: writer.header(entry), sha256 });
      } else if (entry.kind !== 'hard-link') continue;
      const content = contents.get(entry.kind === 'file' ? entry.path : entry.target);
      if (content) digests.push({ path: entry.path, content });
    }
    this.#tell(digests);
  }

  #tell(digests: readonly FileDigest[]): void {
    if (!this.#options.wantsDigests) return;
    for (let start = 0; start < digests.length; start += digestsAtOnce) {
      this.#outlet.tellDigests(digests.slice(start, start + digestsAtOnce));
    }
  }

  #leave(result: ReceiveResult): void {
    this.#phase = { kind: 'leaving', result };
    this.#outlet.send({ kind: 'fin' });
  }
}
