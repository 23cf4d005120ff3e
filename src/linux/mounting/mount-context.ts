import { constants } from 'node:os';
import { bindIfPresent, check, lastErrno, type PathLike, pathBytes, SystemError } from '../libc.ts';

const fsopen = bindIfPresent('int fsopen(const char *type, unsigned int flags)');
const fsconfig = bindIfPresent(
  'int fsconfig(int fd, unsigned int command, const char *key, const void *value, int aux)',
);
const fsmount = bindIfPresent('int fsmount(int fd, unsigned int flags, unsigned int attributes)');
const moveMount = bindIfPresent(
  'int move_mount(int fromFd, const char *from, int toFd, const void *to, unsigned int flags)',
);
const close = bindIfPresent('int close(int fd)');

const closeOnExec = 1;
const setFlag = 0;
const setString = 1;
const create = 6;
const fromEmptyPath = 4;
const currentDirectory = -100;
const attributeReadOnly = 1;

/** A file system that is set up step by step, with the kernel's newer mount interface (5.2). Options are not limited in length, nor in what they contain. */
export class MountContext implements Disposable {
  readonly #descriptor: number;
  readonly #target: PathLike;

  private constructor(descriptor: number, target: PathLike) {
    this.#descriptor = descriptor;
    this.#target = target;
  }

  /** Undefined when the kernel or libc lacks the interface. Throws a SystemError, `ENODEV` when the kernel does not have the file system. */
  static open(type: string, target: PathLike): MountContext | undefined {
    if (!fsopen || !fsconfig || !fsmount || !moveMount || !close) return undefined;
    const descriptor = fsopen(type, closeOnExec);
    if (descriptor !== -1) return new MountContext(descriptor, target);
    if (lastErrno() === constants.errno.ENOSYS || lastErrno() === constants.errno.EPERM) return undefined;
    throw new SystemError('fsopen', lastErrno(), target);
  }

  /** Gives an option a value, which is a path where `about` says so. Throws a SystemError. */
  set(key: string, value: PathLike, about: PathLike = this.#target): void {
    check(fsconfig!(this.#descriptor, setString, key, pathBytes(value), 0), 'fsconfig', about);
  }

  setFlag(key: string): void {
    check(fsconfig!(this.#descriptor, setFlag, key, null, 0), 'fsconfig', this.#target);
  }

  /** Mounts what was set up. Throws a SystemError. */
  mount(options: { readonly readonly: boolean }): void {
    check(fsconfig!(this.#descriptor, create, null, null, 0), 'fsconfig', this.#target);
    const attributes = options.readonly ? attributeReadOnly : 0;
    const tree = check(fsmount!(this.#descriptor, closeOnExec, attributes), 'fsmount', this.#target);
    try {
      check(
        moveMount!(tree, '', currentDirectory, pathBytes(this.#target), fromEmptyPath),
        'move_mount',
        this.#target,
      );
    } finally {
      close!(tree);
    }
  }

  [Symbol.dispose](): void {
    close!(this.#descriptor);
  }
}
