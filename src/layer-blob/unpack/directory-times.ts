import type { ByteString } from '../../base/text/byte-string.ts';

interface Known {
  mtime?: bigint;
  readonly inside: Map<ByteString, Known>;
}

/** The times that directories get when nothing is put into them any more, by path. */
export class DirectoryTimes {
  readonly #root: Known = { inside: new Map() };

  /** `mtime`: nanoseconds since 1970. */
  set(path: ByteString, mtime: bigint): void {
    let known = this.#root;
    for (const name of path.split('/')) {
      let inside = known.inside.get(name);
      if (!inside) {
        inside = { inside: new Map() };
        known.inside.set(name, inside);
      }
      known = inside;
    }
    known.mtime = mtime;
  }

  /** Forgets a path and what is below it. */
  delete(path: ByteString): void {
    const names = path.split('/');
    const last = names.pop()!;
    let known: Known | undefined = this.#root;
    for (const name of names) known = known?.inside.get(name);
    known?.inside.delete(last);
  }

  *entries(): Generator<readonly [path: ByteString, mtime: bigint]> {
    const pending = [...this.#root.inside];
    for (let next = pending.pop(); next; next = pending.pop()) {
      const [path, { mtime, inside }] = next;
      if (mtime !== undefined) yield [path, mtime];
      for (const [name, known] of inside) pending.push([`${path}/${name}`, known]);
    }
  }
}
