import type { ByteString } from '../../base/text/byte-string.ts';
import { makeDevice } from '../../linux/mknod.ts';
import { opaqueAttribute, opaqueValue } from '../../tree/overlay-marks.ts';
import { parentOf } from '../../tree/tree.ts';
import type { EntryMetadata, GrowingFile, LayerMaker, TreeEntry } from '../../tree/tree-maker.ts';

/** What a random tree is made with. */
export type RandomTreeTarget = Pick<
  LayerMaker,
  'add' | 'addFile' | 'setMetadata' | 'remove' | 'addWhiteout' | 'makeOpaque' | 'finish'
>;

/** An entry as it should be. */
export interface ModelNode {
  type: TreeEntry['kind'] | 'whiteout';
  mode: number;
  uid: number;
  gid: number;
  time: bigint;
  xattrs: Map<string, ByteString>;
  /** Of a file, or what a link says. */
  data: Buffer;
  device: bigint;
  links: number;
}

const groupBit = 0o2000;
const capability = 'security.capability';

/** The simplest thing that a tree can be: what a writer of trees makes is compared with it. */
export class ModelTree implements RandomTreeTarget {
  readonly nodes = new Map<ByteString, ModelNode>();

  constructor() {
    this.nodes.set('', node('directory', { mode: 0o755 }));
  }

  add(path: ByteString, entry: TreeEntry): void {
    if (entry.kind === 'hard-link') {
      const target = this.nodes.get(entry.target)!;
      target.links++;
      this.nodes.set(path, target);
      return;
    }
    const metadata = entry.kind === 'symlink' ? { ...entry.metadata, mode: 0o777 } : entry.metadata;
    const made = this.#make(path, entry.kind, metadata);
    if (entry.kind === 'file') made.data = Buffer.from(entry.data);
    if (entry.kind === 'symlink') made.data = Buffer.from(entry.target, 'latin1');
    if ('major' in entry) made.device = makeDevice(entry.major, entry.minor) & 0xffff_ffffn;
    if (entry.kind === 'directory') this.nodes.get(parentOf(path))!.links++;
  }

  addFile(path: ByteString, metadata: EntryMetadata): GrowingFile {
    const pieces: Buffer[] = [];
    const made = this.#make(path, 'file', metadata);
    return {
      write: (chunk) => void pieces.push(Buffer.from(chunk)),
      hole: (size) => void pieces.push(Buffer.alloc(size)),
      writeAll: async (source) => {
        for await (const chunk of source) pieces.push(Buffer.from(chunk));
      },
      finish: () => {
        made.data = Buffer.concat(pieces);
      },
    };
  }

  setMetadata(path: ByteString, { owner, mode, times, xattrs }: Partial<EntryMetadata>): void {
    const own = this.nodes.get(path)!;
    if (owner && (owner.uid !== own.uid || owner.gid !== own.gid)) {
      Object.assign(own, owner);
      if (own.type !== 'directory') own.xattrs.delete(capability);
    }
    if (mode !== undefined && own.type !== 'symlink') own.mode = mode;
    if (times) own.time = times.modification;
    for (const [name, value] of keptXattrs(own.type, xattrs)) own.xattrs.set(name, value);
  }

  remove(path: ByteString): void {
    for (const [name, own] of this.nodes) {
      if (name !== path && !name.startsWith(`${path}/`)) continue;
      const around = this.nodes.get(parentOf(name));
      if (own.type === 'directory' && around) around.links--;
      own.links--;
      this.nodes.delete(name);
    }
  }

  addWhiteout(path: ByteString): void {
    this.#make(path, 'whiteout', { mode: 0 });
  }

  makeOpaque(path: ByteString): void {
    this.nodes.get(path)!.xattrs.set(opaqueAttribute, opaqueValue);
  }

  finish(): void {}

  #make(path: ByteString, type: ModelNode['type'], metadata: EntryMetadata): ModelNode {
    const around = this.nodes.get(parentOf(path))!;
    const made = node(type, metadata);
    if (!metadata.owner && around.mode & groupBit) made.gid = around.gid;
    this.nodes.set(path, made);
    return made;
  }
}

function node(type: ModelNode['type'], { mode, owner, times, xattrs }: EntryMetadata): ModelNode {
  return {
    type,
    mode,
    uid: owner?.uid ?? 0,
    gid: owner?.gid ?? 0,
    time: times?.modification ?? 0n,
    xattrs: keptXattrs(type, xattrs),
    data: Buffer.alloc(0),
    device: 0n,
    links: type === 'directory' ? 2 : 1,
  };
}

/** Only files and directories have attributes of users. */
function keptXattrs(
  type: ModelNode['type'],
  xattrs: ReadonlyMap<string, ByteString> | undefined,
): Map<string, ByteString> {
  const hasAll = type === 'file' || type === 'directory';
  return new Map([...(xattrs ?? [])].filter(([name]) => hasAll || !name.startsWith('user.')));
}
