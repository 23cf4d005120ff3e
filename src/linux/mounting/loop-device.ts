import { closeSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import { bind, check, lastErrno, SystemError } from '../libc.ts';

const ioctl = bind('int ioctl(int fd, unsigned long request, const void *argument)');
const ioctlPlain = bind('int ioctl(int fd, unsigned long request, long argument)');

const control = '/dev/loop-control';
/** linux/loop.h */
const getFree = 0x4c82;
const configure = 0x4c0a;
const readOnly = 1;
const clearsItself = 4;
/** `struct loop_config`: a file, a block size, a `struct loop_info64`, and what is reserved. */
const configSize = 304;
const infoOffset = 8;
const flagsOffset = infoOffset + 52;
/** Others may take the device first that the kernel says is free. */
const attempts = 50;

/** A file as a read-only block device. The device is open; when it is disposed of, the kernel frees it as soon as nothing that uses it is mounted. */
export interface LoopDevice extends Disposable {
  readonly path: string;
}

/** Needs Linux 5.8. Throws the error of the call that failed: `ENOENT` where there are no loop devices. */
export function openLoopDevice(file: string | Buffer): LoopDevice {
  const backing = openSync(file, 'r');
  try {
    const config = Buffer.alloc(configSize);
    config.writeUInt32LE(backing, 0);
    config.writeUInt32LE(readOnly | clearsItself, flagsOffset);
    for (let attempt = 1; ; attempt++) {
      const path = `/dev/loop${freeNumber()}`;
      const device = openSync(path, 'r');
      if (ioctl(device, configure, config) === 0) return { path, [Symbol.dispose]: () => closeSync(device) };
      const errno = lastErrno();
      closeSync(device);
      if (errno !== constants.errno.EBUSY || attempt === attempts)
        throw new SystemError('ioctl', errno, file);
    }
  } finally {
    closeSync(backing);
  }
}

function freeNumber(): number {
  const descriptor = openSync(control, 'r+');
  try {
    return check(ioctlPlain(descriptor, getFree, 0), 'ioctl', control);
  } finally {
    closeSync(descriptor);
  }
}
