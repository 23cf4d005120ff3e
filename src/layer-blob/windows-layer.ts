import type { ByteString } from '../base/text/byte-string.ts';
import { emptyEntry, type TarEntry } from './tar/tar-entry.ts';
import type { TarHandler } from './tar/tar-handler.ts';

/** Where a layer for Windows has its files. Beside it are `Hives`, changes of the registry, which are left alone here. */
const filesDirectory = 'Files/';

/** File attributes of Windows: FILE_ATTRIBUTE_DIRECTORY and FILE_ATTRIBUTE_ARCHIVE. */
const attributes = { directory: '16', file: '32' } as const;

/** The file types of `st_mode`, which Microsoft's writer of layers puts into the mode of an entry. */
const modeBits = { directory: 0o04_0000, file: 0o10_0000 } as const;

/**
 * Security descriptors in base64, the same that BuildKit gives. The owner is Administrators, the group SYSTEM; both and whoever
 * created it have full control, users may read and execute, and in directories add files and directories. In SDDL:
 *
 * - directory: `O:BAG:SYD:(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;;FA;;;BA)(A;OICIIO;GA;;;CO)(A;OICI;0x1200a9;;;BU)(A;CI;LC;;;BU)(A;CI;DC;;;BU)`
 * - file: `O:BAG:SYD:(A;;FA;;;BA)(A;;FA;;;SY)(A;;0x1200a9;;;BU)`
 */
const securityDescriptors = {
  directory:
    'AQAEgBQAAAAkAAAAAAAAADAAAAABAgAAAAAABSAAAAAgAgAAAQEAAAAAAAUSAAAAAgCoAAcAAAAAAxgA/wEfAAECAAAAAAAFIAAAACACAAAAAxQA/wEfAAEBAAAAAAAFEgAAAAAAGAD/AR8AAQIAAAAAAAUgAAAAIAIAAAALFAAAAAAQAQEAAAAAAAMAAAAAAAMYAKkAEgABAgAAAAAABSAAAAAhAgAAAAIYAAQAAAABAgAAAAAABSAAAAAhAgAAAAIYAAIAAAABAgAAAAAABSAAAAAhAgAA',
  file: 'AQAEgBQAAAAkAAAAAAAAADAAAAABAgAAAAAABSAAAAAgAgAAAQEAAAAAAAUSAAAAAgBMAAMAAAAAABgA/wEfAAECAAAAAAAFIAAAACACAAAAABQA/wEfAAEBAAAAAAAFEgAAAAAAGACpABIAAQIAAAAAAAUgAAAAIQIAAA==',
} as const;

const nanosecondsPerSecond = 1_000_000_000n;

/**
 * The directories at the root of every layer for Windows, which come first. BuildKit writes the present time for them, so that no two of its
 * layers are the same.
 */
export const windowsRoots: readonly TarEntry[] = ['Hives', 'Files'].map((name) => ({
  ...emptyEntry,
  name,
  type: 'directory',
  mode: modeBits.directory,
  records: new Map([
    ['MSWINDOWS.fileattr', attributes.directory],
    ['LIBARCHIVE.creationtime', '0.0'],
  ]),
}));

/** An entry of a layer as a layer for Windows has it. */
export function toWindowsEntry(entry: TarEntry): TarEntry {
  const kind = entry.type === 'directory' || entry.type === 'file' ? entry.type : undefined;
  return {
    ...entry,
    name: filesDirectory + entry.name,
    linkName: entry.linkName && filesDirectory + entry.linkName,
    mode: kind ? entry.mode | modeBits[kind] : entry.mode,
    records: new Map<string, ByteString>([
      ['LIBARCHIVE.creationtime', creationTime(entry.mtime)],
      ...(kind
        ? [
            ['MSWINDOWS.fileattr', attributes[kind]] as const,
            ['MSWINDOWS.rawsd', securityDescriptors[kind]] as const,
          ]
        : []),
    ]),
  };
}

/** Seconds and, after the point, nanoseconds without leading zeros: it is no decimal number. */
function creationTime(time: bigint): string {
  const rest = ((time % nanosecondsPerSecond) + nanosecondsPerSecond) % nanosecondsPerSecond;
  return `${(time - rest) / nanosecondsPerSecond}.${rest}`;
}

/** What is at the root of a layer for Windows. */
const roots: ReadonlySet<string> = new Set(['Files', 'Hives', 'UtilityVM']);

/**
 * Passes the files of a layer for Windows on, named as they are on its drive. A layer that does not begin as such layers do is
 * passed on as it is: what is built on no base at all is laid out like a layer for any other system, by BuildKit too.
 */
export class WindowsLayerFiles implements TarHandler {
  readonly #handler: TarHandler;
  #isWindows: boolean | undefined;
  #passes = false;

  constructor(handler: TarHandler) {
    this.#handler = handler;
  }

  entry(entry: TarEntry): void {
    this.#isWindows ??= roots.has(entry.name.split('/', 1)[0]!);
    if (!this.#isWindows) {
      this.#passes = true;
      this.#handler.entry(entry);
      return;
    }
    this.#passes = entry.name.startsWith(filesDirectory);
    if (!this.#passes) return;
    const { linkName } = entry;
    this.#handler.entry({
      ...entry,
      name: entry.name.slice(filesDirectory.length),
      linkName: linkName.startsWith(filesDirectory) ? linkName.slice(filesDirectory.length) : linkName,
    });
  }

  data(chunk: Uint8Array): void {
    if (this.#passes) this.#handler.data(chunk);
  }

  hole(size: number): void {
    if (this.#passes) this.#handler.hole(size);
  }

  entryEnd(): void {
    if (this.#passes) this.#handler.entryEnd();
  }
}
