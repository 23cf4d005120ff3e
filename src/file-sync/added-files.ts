import { KilnError } from '../base/errors.ts';
import { type ByteString, fromByteString, toByteString } from '../base/text/byte-string.ts';

/** A file that is sent with a tree, in its root, though the tree does not have it. A file of the tree with that name is not sent. */
export interface AddedFile {
  readonly name: string;
  readonly data: Uint8Array;
  /** Nanoseconds since 1970. */
  readonly mtime: bigint;
}

/** The permission bits of added files. */
export const addedFileMode = 0o600;

/** Added files in the course of a walk through their tree, whose paths come in file sync's order. */
export class AddedFiles {
  readonly #files: readonly { readonly name: ByteString; readonly file: AddedFile }[];
  #passed = 0;

  constructor(files: readonly AddedFile[]) {
    this.#files = files
      .map((file) => ({ name: toByteString(file.name), file }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** The files whose turn it is before that of a path of the tree. */
  *before(path: ByteString): Generator<AddedFile> {
    const [top] = path.split('/', 1);
    for (; this.#passed < this.#files.length; this.#passed++) {
      const { name, file } = this.#files[this.#passed]!;
      if (name > top!) return;
      yield file;
    }
  }

  /** The files that come after all paths of the tree. */
  *rest(): Generator<AddedFile> {
    for (; this.#passed < this.#files.length; this.#passed++) yield this.#files[this.#passed]!.file;
  }

  /** Whether a file of the tree gives way to an added one. Throws `invalid_argument` for a directory, which cannot. */
  hides(path: ByteString, isDirectory: boolean): boolean {
    if (this.#files.every(({ name }) => name !== path)) return false;
    if (!isDirectory) return true;
    throw new KilnError(
      'invalid_argument',
      `the result has a directory ${fromByteString(path)} where a file of that name is to be added`,
    );
  }
}
