import { type Digest, digestOf } from '../base/digest.ts';
import type { FilterMatch, PathFilter } from '../base/pattern/path-filter.ts';
import { type ByteString, fromByteString } from '../base/text/byte-string.ts';
import type { MergedDirectory, MergedEntry } from '../tree/merged-directory.ts';
import type { EntryDigests } from './entry-digests.ts';
import { EntryListHash } from './entry-list-hash.ts';

/** An entry that counts once it is taken itself, or, if it is a directory, something below it. */
interface PendingEntry {
  readonly path: ByteString;
  readonly entry: MergedEntry;
  readonly parent: PendingEntry | undefined;
  written: boolean;
}

/**
 * Returns a digest that BuildKit makes of nothing: for what it would give the same digest as other content. `why` keeps those of
 * different reasons apart.
 */
export function ownDigest(why: string, digest: Digest): Digest {
  return digestOf(`kiln ${why}\0${digest}`);
}

/** The entries that patterns select, and BuildKit's digest of the list of them. */
export class FilteredList {
  readonly #digests: EntryDigests;
  readonly #filter: PathFilter;
  readonly #hash = new EntryListHash();
  /** The only entry so far. */
  #only: { readonly path: ByteString; readonly digest: Digest } | undefined;
  #count = 0;

  constructor(digests: EntryDigests, filter: PathFilter) {
    this.#digests = digests;
    this.#filter = filter;
  }

  /** `selected`: the last name of the selected path; a single entry of that name stands for the whole list. */
  digest(selected: ByteString): Digest {
    const only = this.#count === 1 ? this.#only! : undefined;
    if (only && (only.path === '' || baseOf(only.path) === selected)) return only.digest;
    return this.#hash.digest();
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  add(path: ByteString, digest: Digest): void {
    this.#hash.add(path, digest);
    this.#count++;
    this.#only = { path, digest };
  }

  /** Adds a selected entry, and what is taken of everything in it. */
  tree(path: ByteString, entry: MergedEntry): void {
    const match = this.#filter.enter(this.#filter.start, '');
    const self: PendingEntry = { path, entry, parent: undefined, written: false };
    if (this.#filter.takes(match)) this.#write(self);
    // A selected file is copied whatever the patterns say, but to BuildKit it is nothing that was read.
    else if (!entry.directory) this.add(path, ownDigest('unmatched', this.#digests.own(path, entry)));
    if (entry.directory) {
      this.#directory(path === '' ? '' : `${path}/`, entry.directory, match, self, '');
    }
  }

  /** Adds what is taken of everything in the root of a tree. `linkDigest`: of a link that lies directly in it. */
  root(directory: MergedDirectory, linkDigest: ((own: Digest) => Digest) | undefined): void {
    this.#directory('', directory, this.#filter.start, undefined, '', linkDigest);
  }

  /** Paths in the list begin with `prefix`, those that patterns match with `below`. */
  #directory(
    prefix: ByteString,
    directory: MergedDirectory,
    match: FilterMatch,
    parent: PendingEntry | undefined,
    below: string,
    linkDigest?: (own: Digest) => Digest,
  ): void {
    for (const entry of directory.entries()) {
      const path = prefix + entry.name;
      const relative = below + fromByteString(entry.name);
      const own = this.#filter.enter(match, relative);
      const self: PendingEntry = { path, entry, parent, written: false };
      const taken = this.#filter.takes(own);
      if (taken) this.#write(self, entry.stats.isSymbolicLink() ? linkDigest : undefined);
      if (entry.directory && (taken || !this.#filter.takesNothingBelow(own, relative))) {
        this.#directory(`${path}/`, entry.directory, own, self, `${relative}/`);
      }
    }
  }

  #write(pending: PendingEntry, linkDigest: (own: Digest) => Digest = (own) => own): void {
    if (pending.written) return;
    if (pending.parent) this.#write(pending.parent);
    pending.written = true;
    this.add(pending.path, linkDigest(this.#digests.own(pending.path, pending.entry)));
  }
}

function baseOf(path: ByteString): ByteString {
  return path.slice(path.lastIndexOf('/') + 1);
}
